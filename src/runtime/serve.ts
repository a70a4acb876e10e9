/**
 * Listening for HTTP with Bun: the only file that names it for that. Takes any fetch-like handler and knows nothing of the routes.
 *
 * Facts behind the choices: the idle timeout must not be zero, else a slow body may take for ever; it also counts while a handler has not
 * answered yet, so that long answers need {@link setIdleTimeout}.
 */
import { readFileSync } from 'node:fs';
import type { Server } from 'bun';

export interface HttpHandler {
  fetch(request: Request): Response | Promise<Response>;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  /** Silence after which a connection is closed. Units: seconds. */
  readonly idleTimeoutSeconds?: number;
  /** Larger bodies are refused before the handler sees them. */
  readonly maxRequestBodyBytes: number;
  /** Files of a key and its certificate; null = plain HTTP. */
  readonly tls?: { readonly keyFile: string; readonly certFile: string } | null;
}

export interface Listening {
  readonly port: number;
  /** Takes no more connections; resolves when those that are open have ended, at once if `force`. */
  stop(force: boolean): Promise<void>;
}

const defaultIdleTimeoutSeconds = 30;
/** Who serves a request, and the request as it came, which alone is known there. */
const origins = new WeakMap<Request, { readonly server: Server<undefined>; readonly request: Request }>();

/** Throws: Error when the port is taken, or a file of `tls` cannot be read. */
export function listen(handler: HttpHandler, options: ListenOptions): Listening {
  const { tls } = options;
  const server: Server<undefined> = Bun.serve({
    hostname: options.host,
    port: options.port,
    development: false,
    idleTimeout: options.idleTimeoutSeconds ?? defaultIdleTimeoutSeconds,
    maxRequestBodySize: options.maxRequestBodyBytes,
    ...(tls ? { tls: { key: readFileSync(tls.keyFile), cert: readFileSync(tls.certFile) } } : {}),
    fetch(request, current) {
      const given = withWholeUrl(request);
      origins.set(given, { server: current, request });
      return handler.fetch(given);
    },
  });
  return { port: server.port ?? options.port, stop: (force) => server.stop(force) };
}

/** How long the connection of a request in progress may be silent; 0 = for ever. Ignores requests that came otherwise. */
export function setIdleTimeout(request: Request, seconds: number): void {
  const origin = origins.get(request);
  origin?.server.timeout(origin.request, seconds);
}

/** HTTP/1.0 asks without a host, as the checks of some balancers do; Bun then gives a path in place of a URL. */
function withWholeUrl(request: Request): Request {
  if (URL.canParse(request.url)) return request;
  const path = /^(?:https?:\/\/[^/]*)?(\/.*)$/.exec(request.url)?.[1] ?? '/';
  return new Request(`http://localhost${path}`, request);
}
