/**
 * What happens to every request before and after its route: the path in front, preflight, ids, figures.
 *
 * Wraps the routes as a function and knows none of them. Next: `app.ts`, `boot-app.ts`, which are wrapped; `cors.ts`.
 */
import { Cors } from './cors.ts';
import type { AppDeps } from './deps.ts';
import { requestIdOf } from './generation.ts';
import { withPath } from './rewrites.ts';
import { noRoute, type RoutePatterns } from './route-patterns.ts';

/** The server without a socket. */
export interface App {
  /** Never rejects. */
  fetch(request: Request): Response | Promise<Response>;
  handle(request: Request): Promise<Response>;
}

/** Asked often and by machines: they would drown the other figures. */
const uncounted: ReadonlySet<string> = new Set([
  '/live',
  '/health',
  '/ready',
  '/ping',
  '/load',
  '/version',
  '/metrics',
  '/metrics/routing',
]);

export type FrontDeps = Pick<AppDeps, 'settings' | 'isDraining' | 'metrics' | 'inFlight'>;

export function withFront(routes: Pick<App, 'handle'>, patterns: RoutePatterns, deps: FrontDeps): App {
  const { http, cors: corsConfig } = deps.settings;
  const rootPath = http?.rootPath ?? '';
  const healthCheckPath = http?.healthCheckPath ?? '/ping';
  const cors = corsConfig === undefined ? null : new Cors(corsConfig);

  /** The path as the routes know it. */
  const ownPath = (path: string): string => {
    const inner = rootPath !== '' && path.startsWith(`${rootPath}/`) ? path.slice(rootPath.length) : path;
    return inner === healthCheckPath && patterns.of(inner) === noRoute ? '/ping' : inner;
  };

  const handle = async (request: Request): Promise<Response> => {
    const startMs = performance.now();
    const preflight = cors?.preflight(request) ?? null;
    if (preflight !== null) return preflight;
    const given = new URL(request.url).pathname;
    const path = ownPath(given);
    const response = await routes.handle(path === given ? request : withPath(request, path));
    deps.inFlight?.leave(request);
    const { headers } = response;
    cors?.addHeaders(headers, request);
    if (http?.enableRequestIdHeaders === true && !headers.has('x-request-id')) {
      headers.set('x-request-id', requestIdOf(request, null));
    }
    // Whoever keeps connections open should not send the next request here.
    if (deps.isDraining()) headers.set('connection', 'close');
    const pattern = patterns.of(path);
    if (!uncounted.has(pattern)) {
      deps.metrics.http.observe(pattern, request.method, response.status, (performance.now() - startMs) / 1000);
    }
    return response;
  };
  return { fetch: handle, handle };
}
