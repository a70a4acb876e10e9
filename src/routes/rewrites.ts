/**
 * Requests under another path, and the way back from them to the request that came over the connection.
 */

/** Where a rewritten request came from. */
const originals = new WeakMap<Request, Request>();

export function withPath(request: Request, path: string): Request {
  const url = new URL(request.url);
  url.pathname = path;
  const rewritten = new Request(url, request);
  originals.set(rewritten, request);
  return rewritten;
}

/** The request that came over the connection. */
export function originalOf(request: Request): Request {
  let current = request;
  for (let before = originals.get(current); before !== undefined; before = originals.get(current)) current = before;
  return current;
}
