/**
 * Reads a request's JSON body: content type, size limit, syntax. Next: `serving/schema/wire.ts`, which checks what it says.
 */
import { ApiError, badRequest } from '../serving/errors.ts';
import { parseWire, type WireSchema } from '../serving/schema/wire.ts';

/** The checked body. Throws: ApiError 400 or 413. */
export async function readBody<T>(request: Request, wire: WireSchema<T>, maxBytes: number): Promise<T> {
  const mediaType = (request.headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (mediaType !== 'application/json') throw badRequest("Unsupported Media Type: Only 'application/json' is allowed.");
  const text = await readText(request, maxBytes);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw badRequest('The request body is not valid JSON.');
  }
  return parseWire(wire, body);
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  const declared = request.headers.get('content-length');
  if (declared !== null) {
    if (Number(declared) > maxBytes) throw tooLarge(maxBytes);
    return request.text();
  }
  // Without a declared length the size is known only while reading.
  const chunks: Uint8Array[] = [];
  let numBytes = 0;
  for await (const chunk of request.body ?? []) {
    numBytes += chunk.byteLength;
    if (numBytes > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, numBytes).toString('utf8');
}

function tooLarge(maxBytes: number): ApiError {
  return new ApiError(413, `The request body is larger than ${maxBytes} bytes.`);
}
