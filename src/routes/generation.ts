/**
 * What every generating route does around its own format: start the engine's work, end it when the client leaves, send typed events.
 *
 * Knows no wire format but that of server-sent events. Next: `openai/responses.ts`, `anthropic/messages.ts`, `event-stream.ts`.
 */
import { randomUUID } from 'node:crypto';
import { ApiError, toApiError } from '../serving/errors.ts';
import { Generation, type GenerationObserver, type GenerationPlan } from '../serving/generation.ts';
import { watchForLog } from '../serving/request-log.ts';
import type { AppDeps } from './deps.ts';
import { eventStream } from './event-stream.ts';
import { originalOf } from './rewrites.ts';

const defaultKeepAliveMs = 10_000;
const defaultSlowReaderTimeoutMs = 30_000;
/** Comments that come less often do not keep the server from closing a silent connection. */
const longestKeepAliveMs = 20_000;
const maxQueuedChars = 1 << 20;
/** How long a dropped reader's socket stays open. Breaking the stream alone does not close it. */
const droppedTimeoutSeconds = 1;
const maxRequestIdLength = 256;
/** The client is gone: nobody reads this status. */
const clientClosedRequest = 499;

/** Who asked for a generation, for the log. */
export interface AskedBy {
  readonly request: Request;
  /** The id that the answer carries. */
  readonly id: string;
  readonly isStreamed: boolean;
}

/**
 * Queues all choices of a plan at once, watched by metrics and log, and by `more` where it is given.
 * Throws: ApiError 503 when there is no room, EngineError when the engine does not take them.
 */
export function startGeneration(
  deps: AppDeps,
  plan: GenerationPlan,
  by: AskedBy,
  more: GenerationObserver | null = null,
): Generation {
  const ticket = deps.inFlight?.admit(plan, originalOf(by.request));
  const deadline = new Deadline(deps.requestTimeoutMs ?? 0);
  const observers = [deps.metrics.watch(plan), ticket, logObserver(deps, plan, by), deadline.observer, more];
  const generation = new Generation(deps.engine, plan, together(observers.filter((one) => one != null)));
  ticket?.bind(generation);
  deadline.start(generation);
  return generation;
}

function logObserver(deps: AppDeps, plan: GenerationPlan, by: AskedBy): GenerationObserver | null {
  const { log, requestLog, settings, model } = deps;
  if (log === undefined || requestLog === undefined) return null;
  const asked = {
    id: by.id,
    endpoint: new URL(by.request.url).pathname,
    model: settings.servedModelNames[0] ?? '',
    isStreamed: by.isStreamed,
    promptTokens: plan.promptTokens,
    promptText: (maxLength: number | null): string => {
      const ids = plan.choices[0]?.request.promptTokenIds ?? [];
      // Nearly every token has a character: so many tokens are enough.
      return model.tokenizer.decode([...ids.slice(0, maxLength ?? ids.length)], { skipSpecialTokens: false });
    },
  };
  return watchForLog(log, requestLog, asked, () => performance.now());
}

/** Several observers as one. */
function together(observers: readonly GenerationObserver[]): GenerationObserver {
  return {
    started: (index, start) => {
      for (const one of observers) one.started?.(index, start);
    },
    tokens: (index, total) => {
      for (const one of observers) one.tokens(index, total);
    },
    text: (index, text) => {
      for (const one of observers) one.text?.(index, text);
    },
    choiceEnded: (reason, numTokens, index) => {
      for (const one of observers) one.choiceEnded(reason, numTokens, index);
    },
    ended: () => {
      for (const one of observers) one.ended();
    },
  };
}

/** Gives a generation up that takes too long. */
class Deadline {
  private timer: ReturnType<typeof setTimeout> | null = null;
  private isOver = false;
  readonly observer: GenerationObserver = {
    tokens: () => {},
    choiceEnded: () => {},
    ended: () => {
      this.isOver = true;
      if (this.timer !== null) clearTimeout(this.timer);
    },
  };

  /** 0 = there is none. */
  constructor(private readonly limitMs: number) {}

  start(generation: Generation): void {
    if (this.limitMs <= 0 || this.isOver) return;
    const seconds = this.limitMs / 1000;
    const error = new ApiError(408, `The request took longer than ${seconds} s.`);
    this.timer = setTimeout(() => generation.cancel(error), this.limitMs);
    this.timer.unref();
  }
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
  const keepAliveMs = deps.keepAliveMs ?? defaultKeepAliveMs;
  if (keepAliveMs === 0 || keepAliveMs > longestKeepAliveMs) deps.setIdleTimeout?.(request, 0);
  const stream = eventStream(frames, {
    keepAliveMs,
    slowReaderTimeoutMs: deps.slowReaderTimeoutMs ?? defaultSlowReaderTimeoutMs,
    maxQueuedChars,
    onCancel: onLeave,
    onStalled: () => deps.setIdleTimeout?.(request, droppedTimeoutSeconds),
  });
  return new Response(stream, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...headers },
  });
}
