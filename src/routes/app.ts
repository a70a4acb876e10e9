/**
 * All routes of the server as one function from request to response. Never listens: `runtime/serve.ts` does.
 *
 * Owns the list of routes, authorisation and the last line of error handling. Bodies are read by the routes themselves, so that errors
 * have OpenAI's shape and never echo input. Next: `openai/chat-completions.ts`, `openai/respond.ts`.
 */
import { Elysia } from 'elysia';
import { ApiError } from '../serving/errors.ts';
import { createAuthorize } from './auth.ts';
import type { AppDeps } from './deps.ts';
import { chatCompletions } from './openai/chat-completions.ts';
import { completions } from './openai/completions.ts';
import { listModels, showModel } from './openai/models.ts';
import { health } from './ops/health.ts';
import { metrics } from './ops/metrics.ts';
import { detokenize, tokenize } from './ops/tokenize.ts';
import { version } from './ops/version.ts';
import { errorResponse } from './responses.ts';

/** The server without a socket. */
export interface App {
  /** Never rejects. */
  fetch(request: Request): Response | Promise<Response>;
  handle(request: Request): Promise<Response>;
}

/** Routes read their body themselves; Elysia must leave it alone. */
const rawBody = { parse: 'none' } as const;

export function createApp(deps: AppDeps): App {
  const authorize = createAuthorize(deps.settings.apiKeys);
  const created = Math.floor(Date.now() / 1000);
  // With `standardHostname` a Host header of less than four characters breaks the path lookup.
  return (
    new Elysia({ handler: { standardHostname: false } })
      .onRequest(({ request }) => authorize(request))
      .onError(({ code, error, request }) =>
        errorResponse(code === 'NOT_FOUND' ? unknownUrl(request) : error, deps.reportError),
      )
      .post('/v1/chat/completions', ({ request }) => chatCompletions(deps, request), rawBody)
      .post('/v1/completions', ({ request }) => completions(deps, request), rawBody)
      .get('/v1/models', () => listModels(deps, created))
      // A wildcard, because names of the form owner/name may come with a bare slash.
      .get('/v1/models/*', ({ params }) => showModel(deps, decodedPath(params['*']), created))
      .post('/tokenize', ({ request }) => tokenize(deps, request), rawBody)
      .post('/detokenize', ({ request }) => detokenize(deps, request), rawBody)
      .get('/health', () => health(deps))
      .get('/version', () => version(deps))
      .get('/metrics', () => metrics(deps))
  );
}

/** Wildcards come as they were sent. A broken escape stands for itself. */
function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function unknownUrl(request: Request): ApiError {
  return new ApiError(404, `There is no ${request.method} ${new URL(request.url).pathname} on this server.`);
}
