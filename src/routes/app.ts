/**
 * All routes of the server as one function from request to response. Never listens: `runtime/serve.ts` does.
 *
 * Owns the list of routes, authorisation and the last line of error handling. Bodies are read by the routes themselves, so that errors
 * have OpenAI's shape and never echo input. Next: `openai/chat-completions.ts`, `openai/respond.ts`.
 */
import { Elysia } from 'elysia';
import { ApiError, toApiError } from '../serving/errors.ts';
import { ResponseStore } from '../serving/responses/store.ts';
import { countMessageTokens, createMessage, isMessagesPath, messagesErrorResponse } from './anthropic/messages.ts';
import { createAuthorize } from './auth.ts';
import type { AppDeps } from './deps.ts';
import { type App, withFront } from './front.ts';
import type { NativeJobs } from './native/native-jobs.ts';
import { nativeRoutes, underOpenaiPrefix } from './native/register.ts';
import { chatCompletions } from './openai/chat-completions.ts';
import { completions } from './openai/completions.ts';
import { listModels, showModel } from './openai/models.ts';
import { renderChat, renderCompletion } from './openai/render.ts';
import { cancelResponse, createResponse, deleteResponse, listInputItems, showResponse } from './openai/responses.ts';
import { docsPage, openapiJson } from './openapi/pages.ts';
import { health } from './ops/health.ts';
import { live, ProgressWatch } from './ops/live.ts';
import { load } from './ops/load.ts';
import { metrics, routingMetrics } from './ops/metrics.ts';
import { ping } from './ops/ping.ts';
import { detokenize, tokenize } from './ops/tokenize.ts';
import { tokenizerInfo } from './ops/tokenizer-info.ts';
import { version } from './ops/version.ts';
import { errorResponse } from './responses.ts';
import { originalOf } from './rewrites.ts';
import { RoutePatterns } from './route-patterns.ts';

export type { App } from './front.ts';

/** Routes read their body themselves; Elysia must leave it alone. */
const rawBody = { parse: 'none' } as const;

/** What asks for room before its body is read. */
const generatingPaths: ReadonlySet<string> = new Set([
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/messages',
]);

/** What the Responses API keeps for later requests. */
const storedResponses = { maxResponses: 1000, maxChars: 64 << 20 } as const;

/** What an app answers, for whoever describes it. */
export interface RouteList {
  readonly routes: readonly { readonly method: string; readonly path: string }[];
}

/** `jobs`: keeps the jobs of the job routes; without it there are none. */
export function createApp(given: AppDeps, jobs: NativeJobs | null = null): App & RouteList {
  const { setIdleTimeout } = given;
  // Routes may hold a rewritten request; the connection is known by the one that came.
  const deps: AppDeps =
    setIdleTimeout === undefined
      ? given
      : { ...given, setIdleTimeout: (request, seconds) => setIdleTimeout(originalOf(request), seconds) };
  const authorize = createAuthorize(deps.settings.apiKeys);
  const created = Math.floor(Date.now() / 1000);
  const responses = new ResponseStore(storedResponses);
  const progress = new ProgressWatch(() => performance.now());
  // Elysia looks for the path from a fixed place on: 11 with `standardHostname`, which breaks Host headers of less than four
  // characters; 7 without, which breaks https.
  const routes = new Elysia({ handler: { standardHostname: deps.settings.isHttps === true } })
    .onRequest(({ request }) => {
      authorize(request);
      const isGeneration = request.method === 'POST' && generatingPaths.has(new URL(request.url).pathname);
      if (isGeneration) deps.inFlight?.enter(originalOf(request));
    })
    .onError(({ code, error, request }) => {
      const failure = code === 'NOT_FOUND' ? unknownUrl(request) : error;
      logRefusal(deps, request, failure);
      const respond = isMessagesPath(new URL(request.url).pathname) ? messagesErrorResponse : errorResponse;
      return respond(failure, deps.reportError);
    })
    .post('/v1/chat/completions', ({ request }) => chatCompletions(deps, request), rawBody)
    .post('/v1/completions', ({ request }) => completions(deps, request), rawBody)
    .post('/v1/chat/completions/render', ({ request }) => renderChat(deps, request), rawBody)
    .post('/v1/completions/render', ({ request }) => renderCompletion(deps, request), rawBody)
    .post('/v1/responses', ({ request }) => createResponse(deps, responses, request), rawBody)
    .get('/v1/responses/:id', ({ params, request }) => showResponse(responses, params.id, request))
    .delete('/v1/responses/:id', ({ params }) => deleteResponse(responses, params.id), rawBody)
    .post('/v1/responses/:id/cancel', ({ params }) => cancelResponse(responses, params.id), rawBody)
    .get('/v1/responses/:id/input_items', ({ params, request }) => listInputItems(responses, params.id, request))
    .post('/v1/messages', ({ request }) => createMessage(deps, request), rawBody)
    .post('/v1/messages/count_tokens', ({ request }) => countMessageTokens(deps, request), rawBody)
    .get('/v1/models', () => listModels(deps, created))
    // A wildcard, because names of the form owner/name may come with a bare slash.
    .get('/v1/models/*', ({ params }) => showModel(deps, decodedPath(params['*']), created))
    .post('/tokenize', ({ request }) => tokenize(deps, request), rawBody)
    .post('/detokenize', ({ request }) => detokenize(deps, request), rawBody)
    .get('/tokenizer_info', ({ request }) => {
      if (deps.settings.http?.enableTokenizerInfoEndpoint === false) throw unknownUrl(request);
      return tokenizerInfo(deps);
    })
    .get('/health', () => health(deps))
    .get('/ready', () => health(deps))
    .get('/live', () => live(deps, progress))
    .get('/ping', () => ping(deps))
    .post('/ping', () => ping(deps), rawBody)
    .get('/load', () => load(deps))
    .get('/version', () => version(deps))
    .get('/metrics', () => metrics(deps))
    .get('/metrics/routing', () => routingMetrics(deps))
    .use(apiDocs(deps, jobs !== null))
    .use(nativeRoutes(deps, jobs));
  const paths = routes.routes.map(({ path }) => path);
  const front = withFront(underOpenaiPrefix(routes), new RoutePatterns([...paths, '/v2/:endpoint/openai/*']), deps);
  return { ...front, routes: routes.routes.map(({ method, path }) => ({ method, path })) };
}

function apiDocs(deps: AppDeps, hasJobs: boolean) {
  const app = new Elysia();
  if (deps.settings.http?.hasApiDocs === false) return app;
  return app.get('/openapi.json', () => openapiJson(deps, hasJobs)).get('/docs', () => docsPage());
}

/** Wildcards come as they were sent. A broken escape stands for itself. */
function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** A line for what is not answered as asked. Texts of errors never hold the client's values. */
function logRefusal({ log, requestLog, logErrorStack }: AppDeps, request: Request, error: unknown): void {
  if (log === undefined || requestLog?.requests !== true) return;
  const { status, message, param } = toApiError(error);
  const { pathname } = new URL(request.url);
  const stack = logErrorStack === true && error instanceof Error ? `\n${error.stack}` : '';
  const fields = { method: request.method, path: pathname, status, param, error: message };
  log.info('refused', fields, `${request.method} ${pathname} ${status}: ${message}${stack}`);
}

function unknownUrl(request: Request): ApiError {
  return new ApiError(404, `There is no ${request.method} ${new URL(request.url).pathname} on this server.`);
}
