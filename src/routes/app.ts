/**
 * All routes of the server as one function from request to response. Never listens: `runtime/serve.ts` does.
 *
 * Owns the list of routes, authorisation and the last line of error handling. Bodies are read by the routes themselves, so that errors
 * have OpenAI's shape and never echo input. Next: `openai/chat-completions.ts`, `openai/respond.ts`.
 */
import { Elysia } from 'elysia';
import { ApiError } from '../serving/errors.ts';
import { ResponseStore } from '../serving/responses/store.ts';
import { countMessageTokens, createMessage, isMessagesPath, messagesErrorResponse } from './anthropic/messages.ts';
import { createAuthorize } from './auth.ts';
import type { AppDeps } from './deps.ts';
import type { NativeJobs } from './native/native-jobs.ts';
import { nativeRoutes, underOpenaiPrefix, withOriginalRequests } from './native/register.ts';
import { chatCompletions } from './openai/chat-completions.ts';
import { completions } from './openai/completions.ts';
import { listModels, showModel } from './openai/models.ts';
import { renderChat, renderCompletion } from './openai/render.ts';
import { cancelResponse, createResponse, deleteResponse, listInputItems, showResponse } from './openai/responses.ts';
import { health } from './ops/health.ts';
import { live, ProgressWatch } from './ops/live.ts';
import { load } from './ops/load.ts';
import { metrics } from './ops/metrics.ts';
import { ping } from './ops/ping.ts';
import { detokenize, tokenize } from './ops/tokenize.ts';
import { tokenizerInfo } from './ops/tokenizer-info.ts';
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

/** What the Responses API keeps for later requests. */
const storedResponses = { maxResponses: 1000, maxChars: 64 << 20 } as const;

/** `jobs`: keeps the jobs of the job routes; without it there are none. */
export function createApp(given: AppDeps, jobs: NativeJobs | null = null): App {
  const deps = withOriginalRequests(given);
  const authorize = createAuthorize(deps.settings.apiKeys);
  const created = Math.floor(Date.now() / 1000);
  const responses = new ResponseStore(storedResponses);
  const progress = new ProgressWatch(() => performance.now());
  // With `standardHostname` a Host header of less than four characters breaks the path lookup.
  return underOpenaiPrefix(
    new Elysia({ handler: { standardHostname: false } })
      .onRequest(({ request }) => authorize(request))
      .onError(({ code, error, request }) => {
        const respond = isMessagesPath(new URL(request.url).pathname) ? messagesErrorResponse : errorResponse;
        return respond(code === 'NOT_FOUND' ? unknownUrl(request) : error, deps.reportError);
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
      .get('/tokenizer_info', () => tokenizerInfo(deps))
      .get('/health', () => health(deps))
      .get('/ready', () => health(deps))
      .get('/live', () => live(deps, progress))
      .get('/ping', () => ping(deps))
      .post('/ping', () => ping(deps), rawBody)
      .get('/load', () => load(deps))
      .get('/version', () => version(deps))
      .get('/metrics', () => metrics(deps))
      .use(nativeRoutes(deps, jobs)),
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
