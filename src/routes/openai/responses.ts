/**
 * The Responses API: create (whole, streamed, in the background), fetch, list the input, cancel, delete.
 *
 * A response is stored unless `store` is false; see `serving/responses/store.ts` for how long. Next: `serving/responses/run.ts`.
 */
import { type ApiError, badRequest } from '../../serving/errors.ts';
import { newId, toItems } from '../../serving/responses/items.ts';
import { ResponseRun } from '../../serving/responses/run.ts';
import type { ResponseStore } from '../../serving/responses/store.ts';
import { responsesToEngine, wantsLogprobs } from '../../serving/responses/to-chat.ts';
import { responsesWire } from '../../serving/schema/responses.ts';
import { servingContext } from '../accepting.ts';
import type { AppDeps } from '../deps.ts';
import {
  clientClosed,
  namedFrames,
  reportFault,
  requestIdOf,
  startGeneration,
  streamedResponse,
} from '../generation.ts';
import { readBody } from '../read-body.ts';
import { jsonResponse } from '../responses.ts';

const defaultPageSize = 20;
const maxPageSize = 100;

/** `POST /v1/responses`. Throws: ApiError, EngineError. */
export async function createResponse(deps: AppDeps, store: ResponseStore, request: Request): Promise<Response> {
  const body = await readBody(request, responsesWire, deps.settings.maxRequestBodyBytes);
  const context = servingContext(deps);
  const earlier = body.previous_response_id ? store.conversation(body.previous_response_id) : [];
  const input = [...earlier, ...toItems(body.input)];
  const plan = await responsesToEngine(body, input, context);
  // Tokenising takes time: the client may have left meanwhile.
  if (request.signal.aborted) return clientClosed();
  const id = newId('resp');
  const generation = startGeneration(deps, plan, { request, id, isStreamed: body.stream === true });
  const run: ResponseRun = new ResponseRun(
    {
      id,
      messageId: newId('msg'),
      createdAt: unixSeconds(),
      model: deps.settings.servedModelNames[0] ?? '',
      body,
      plan,
      wantsLogprobs: wantsLogprobs(body),
    },
    generation,
    {
      now: unixSeconds,
      onSettled: () => {
        store.measure(id);
        // A whole answer's failure is thrown below and reported with the response to it.
        const isWhole = body.stream !== true && body.background !== true;
        if (run.failure !== null && !isWhole) reportFault(run.failure.error, deps.reportError);
      },
    },
  );
  if (body.store !== false) store.add(id, { run, input });
  const headers = { 'x-request-id': requestIdOf(request, body.request_id) };

  if (body.background === true) {
    const queued = run.object();
    void finish(run);
    return jsonResponse(queued, 200, headers);
  }
  const leave = (): void => run.cancel();
  request.signal.addEventListener('abort', leave, { once: true });
  if (body.stream === true) {
    return streamedResponse(deps, request, namedFrames(run.events(), errorEvent, deps.reportError), headers, leave);
  }
  deps.setIdleTimeout?.(request, 0);
  await finish(run);
  if (run.failure !== null) throw run.failure.error;
  return jsonResponse(run.object(), 200, headers);
}

/** `GET /v1/responses/{id}`. Throws: ApiError 404. */
export function showResponse(store: ResponseStore, id: string, request: Request): Response {
  if (new URL(request.url).searchParams.get('stream') === 'true') {
    throw badRequest(
      '`stream` of a stored response is not supported yet: fetch it until its status is final.',
      'stream',
    );
  }
  return jsonResponse(store.get(id).run.object());
}

/** `POST /v1/responses/{id}/cancel`: a response that has ended is given back as it is. Throws: ApiError 404. */
export function cancelResponse(store: ResponseStore, id: string): Response {
  const { run } = store.get(id);
  run.cancel();
  return jsonResponse(run.object());
}

/** `DELETE /v1/responses/{id}`. Throws: ApiError 404. */
export function deleteResponse(store: ResponseStore, id: string): Response {
  store.delete(id);
  return jsonResponse({ id, object: 'response.deleted', deleted: true });
}

/** `GET /v1/responses/{id}/input_items`, newest first unless `order=asc`. Throws: ApiError 400 or 404. */
export function listInputItems(store: ResponseStore, id: string, request: Request): Response {
  const query = new URL(request.url).searchParams;
  const limit = pageSize(query.get('limit'));
  const order = query.get('order') ?? 'desc';
  if (order !== 'asc' && order !== 'desc') throw badRequest('`order` must be asc or desc.', 'order');
  const { input } = store.get(id);
  const items = order === 'asc' ? input : input.toReversed();
  const after = query.get('after');
  const start = after === null ? 0 : items.findIndex((item) => item.id === after) + 1;
  if (after !== null && start === 0) throw badRequest('`after` must be the id of an input item.', 'after');
  const data = items.slice(start, start + limit);
  return jsonResponse({
    object: 'list',
    data,
    first_id: data[0]?.id ?? '',
    last_id: data.at(-1)?.id ?? '',
    has_more: start + limit < items.length,
  });
}

function pageSize(given: string | null): number {
  if (given === null) return defaultPageSize;
  const size = /^\d{1,4}$/.test(given) ? Number(given) : 0;
  if (size >= 1 && size <= maxPageSize) return size;
  throw badRequest(`\`limit\` must be an integer from 1 to ${maxPageSize}.`, 'limit');
}

/** Reads a run to its end. */
async function finish(run: ResponseRun): Promise<void> {
  for await (const _ of run.events());
}

/** For what breaks outside the run itself, which ends with an event of its own. */
function errorEvent(error: ApiError): { type: string } & Record<string, unknown> {
  return { type: 'error', code: String(error.status), message: error.message, param: error.param };
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
