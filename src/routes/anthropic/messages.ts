/**
 * `POST /v1/messages` and `POST /v1/messages/count_tokens`, for clients that speak Anthropic's protocol.
 *
 * Every failure below this path, of authorisation and of unknown routes too, has that protocol's shape.
 * Next: `serving/messages/to-chat.ts`, `serving/messages/message-events.ts`.
 */
import { toApiError } from '../../serving/errors.ts';
import { messageErrorBody } from '../../serving/messages/message-errors.ts';
import { foldMessage, foldMessageEvents } from '../../serving/messages/message-events.ts';
import { countTokens, messagesToEngine } from '../../serving/messages/to-chat.ts';
import { newId } from '../../serving/responses/items.ts';
import { countTokensWire, messagesWire } from '../../serving/schema/messages-api.ts';
import { servingContext } from '../accepting.ts';
import type { AppDeps } from '../deps.ts';
import { clientClosed, namedFrames, requestIdOf, startGeneration, streamedResponse } from '../generation.ts';
import { readBody } from '../read-body.ts';
import { errorResponse, jsonResponse } from '../responses.ts';

const root = '/v1/messages';

/** Whether a request is answered in this protocol. */
export function isMessagesPath(path: string): boolean {
  return path === root || path.startsWith(`${root}/`);
}

/** Throws: ApiError, EngineError. */
export async function createMessage(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, messagesWire, deps.settings.maxRequestBodyBytes);
  const plan = await messagesToEngine(body, servingContext(deps));
  // Tokenising takes time: the client may have left meanwhile.
  if (request.signal.aborted) return clientClosed();
  const id = newId('msg');
  const generation = startGeneration(deps, plan, { request, id, isStreamed: body.stream === true });
  const leave = (): void => generation.abort();
  request.signal.addEventListener('abort', leave, { once: true });
  const requestId = requestIdOf(request, body.request_id);
  // Anthropic's clients read the first of the two.
  const headers = { 'request-id': requestId, 'x-request-id': requestId };
  const head = {
    id,
    model: deps.settings.servedModelNames[0] ?? '',
    promptTokens: plan.promptTokens,
  };
  if (body.stream === true) {
    const events = foldMessageEvents(generation.updates(), head);
    return streamedResponse(deps, request, namedFrames(events, messageErrorBody, deps.reportError), headers, leave);
  }
  deps.setIdleTimeout?.(request, 0);
  return jsonResponse(await foldMessage(generation.updates(), head), 200, headers);
}

/** Throws: ApiError. */
export async function countMessageTokens(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, countTokensWire, deps.settings.maxRequestBodyBytes);
  return jsonResponse({ input_tokens: await countTokens(body, deps) });
}

/** Any thrown value as a response of this protocol. */
export function messagesErrorResponse(error: unknown, reportError?: (error: unknown) => void): Response {
  const response = errorResponse(error, reportError);
  const apiError = toApiError(error);
  return jsonResponse(messageErrorBody(apiError), apiError.status, Object.fromEntries(response.headers));
}
