/**
 * What every generating route does around its own format: start the engine's work, end it when the client leaves, send typed events.
 *
 * Knows no wire format but that of server-sent events. Next: `openai/responses.ts`, `anthropic/messages.ts`, `event-stream.ts`.
 */
import { randomUUID } from 'node:crypto';
import { type ApiError, toApiError } from '../serving/errors.ts';
import { Generation, type GenerationPlan } from '../serving/generation.ts';
import type { AppDeps } from './deps.ts';
import { eventStream } from './event-stream.ts';

const defaultKeepAliveMs = 10_000;
const maxQueuedChars = 1 << 20;
/** How long a dropped reader's socket stays open. Breaking the stream alone does not close it. */
const droppedTimeoutSeconds = 1;
const maxRequestIdLength = 256;
/** The client is gone: nobody reads this status. */
const clientClosedRequest = 499;

/** Queues all choices of a plan at once. Throws: EngineError when the engine does not take them. */
export function startGeneration(deps: AppDeps, plan: GenerationPlan): Generation {
  return new Generation(deps.engine, plan, deps.metrics.watch(plan.promptTokens));
}

/** The answer for a client that left while its request was being translated. */
export function clientClosed(): Response {
  return new Response(null, { status: clientClosedRequest });
}

/** The client's own id, so that logs on both sides can be joined, else a fresh one. */
export function requestIdOf(request: Request, given: string | null | undefined): string {
  const id = request.headers.get('x-request-id') ?? given ?? '';
  const isUsable = /^[\x21-\x7e]+$/.test(id) && id.length <= maxRequestIdLength;
  return isUsable ? id : randomUUID();
}

/** An event whose name is its `type`. */
export interface TypedEvent {
  readonly type: string;
}

/**
 * Typed events as frames with their names; there is no `[DONE]` at the end. An error becomes the event that `toEvent` makes of it.
 * Never throws.
 */
export async function* namedFrames(
  batches: AsyncIterable<readonly TypedEvent[]>,
  toEvent: (error: ApiError) => TypedEvent,
  reportError?: (error: unknown) => void,
): AsyncGenerator<string, void, undefined> {
  try {
    for await (const batch of batches) yield batch.map(frame).join('');
  } catch (error) {
    reportFault(error, reportError);
    yield frame(toEvent(toApiError(error)));
  }
}

function frame(event: TypedEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Tells the server's log of a failure that is not the client's and not of capacity. */
export function reportFault(error: unknown, reportError?: (error: unknown) => void): void {
  const { status } = toApiError(error);
  if (status >= 500 && status !== 503) reportError?.(error);
}

/** Streams frames; `onLeave` is called when the reader is gone. */
export function streamedResponse(
  deps: AppDeps,
  request: Request,
  frames: AsyncIterable<string>,
  headers: Readonly<Record<string, string>>,
  onLeave: () => void,
): Response {
  const stream = eventStream(frames, {
    keepAliveMs: deps.keepAliveMs ?? defaultKeepAliveMs,
    maxQueuedChars,
    onCancel: onLeave,
    onStalled: () => deps.setIdleTimeout?.(request, droppedTimeoutSeconds),
  });
  return new Response(stream, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...headers },
  });
}
