/**
 * Which web pages may call the server: answers to preflight requests, and headers on all others.
 *
 * Source: the Fetch standard's CORS protocol; wording and defaults as FastAPI's middleware, which vLLM's settings configure.
 */
import type { CorsConfig } from '../config/server-config.ts';

/** What `*` stands for where the protocol wants names. */
const allMethods = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'];
/** Allowed without being asked for. */
const simpleHeaders = ['Accept', 'Accept-Language', 'Content-Language', 'Content-Type'];
/** What pages may read of an answer beside its content. */
const exposedHeaders = 'X-Request-Id, Retry-After';
const preflightSeconds = 600;

export class Cors {
  private readonly anyOrigin: boolean;
  private readonly methods: readonly string[];
  private readonly anyHeader: boolean;

  constructor(private readonly config: CorsConfig) {
    this.anyOrigin = config.allowedOrigins.includes('*');
    this.methods = config.allowedMethods.includes('*')
      ? allMethods
      : config.allowedMethods.map((method) => method.toUpperCase());
    this.anyHeader = config.allowedHeaders.includes('*');
  }

  /** The answer to a browser's question before a request; null for anything else. */
  preflight(request: Request): Response | null {
    const origin = request.headers.get('origin');
    const method = request.headers.get('access-control-request-method');
    if (request.method !== 'OPTIONS' || origin === null || method === null) return null;
    const asked = request.headers.get('access-control-request-headers');
    const refused: string[] = [];
    if (!this.allowsOrigin(origin)) refused.push('origin');
    if (!this.methods.includes(method)) refused.push('method');
    if (asked !== null && !this.allowsHeaders(asked)) refused.push('headers');
    const headers = new Headers({
      'access-control-allow-methods': this.methods.join(', '),
      'access-control-max-age': String(preflightSeconds),
      'access-control-allow-headers':
        this.anyHeader && asked !== null ? asked : [...simpleHeaders, ...this.named()].join(', '),
    });
    this.addOrigin(headers, origin);
    const text = refused.length === 0 ? 'OK' : `Disallowed CORS ${refused.join(', ')}`;
    return new Response(text, { status: refused.length === 0 ? 200 : 400, headers });
  }

  /** Mutates: `headers` of an answer to `request`. */
  addHeaders(headers: Headers, request: Request): void {
    const origin = request.headers.get('origin');
    if (origin === null) return;
    this.addOrigin(headers, origin);
    headers.set('access-control-expose-headers', exposedHeaders);
  }

  private addOrigin(headers: Headers, origin: string): void {
    const { allowCredentials } = this.config;
    // Browsers take no `*` together with credentials.
    const namesOrigin = !this.anyOrigin || allowCredentials;
    if (namesOrigin) headers.append('vary', 'Origin');
    if (!this.allowsOrigin(origin)) return;
    headers.set('access-control-allow-origin', namesOrigin ? origin : '*');
    if (allowCredentials) headers.set('access-control-allow-credentials', 'true');
  }

  private allowsOrigin(origin: string): boolean {
    return this.anyOrigin || this.config.allowedOrigins.includes(origin);
  }

  private allowsHeaders(asked: string): boolean {
    if (this.anyHeader) return true;
    const allowed = new Set([...simpleHeaders, ...this.named()].map((name) => name.toLowerCase()));
    return asked.split(',').every((name) => allowed.has(name.trim().toLowerCase()));
  }

  private named(): readonly string[] {
    return this.config.allowedHeaders.filter((name) => name !== '*');
  }
}
