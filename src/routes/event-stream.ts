/**
 * Server-sent events: frames that arrive at their own pace -> a byte stream that the connection pulls.
 *
 * Everything that arrived since the last pull goes out in one piece. What a slow reader leaves lying is bounded in size and in time: beyond
 * either the source is closed and the stream broken. While nothing arrives a comment keeps the connection open. Knows no completion format.
 */
import { toApiError } from '../serving/errors.ts';

export interface EventStreamOptions {
  /** Units: milliseconds of silence before a comment; 0 = never. */
  readonly keepAliveMs: number;
  /** How long the reader may take nothing of what is there; 0 or absent = for ever. Kept to within a third. */
  readonly slowReaderTimeoutMs?: number;
  /** What may wait for the reader. Units: UTF-16 code units. */
  readonly maxQueuedChars: number;
  /** The reader is gone. */
  onCancel(): void;
  /** The reader was too slow and is being dropped. */
  onStalled(): void;
}

const keepAliveComment = ': keep-alive\n\n';
const doneFrame = 'data: [DONE]\n\n';

/**
 * Frames of a streamed answer, ended by `[DONE]`. An error becomes a frame of its own: the status of the response is long out.
 * Never throws.
 */
export async function* sseFrames(
  chunks: AsyncIterable<readonly object[]>,
  reportError?: (error: unknown) => void,
): AsyncGenerator<string, void, undefined> {
  try {
    for await (const batch of chunks) yield batch.map(frame).join('');
  } catch (error) {
    const apiError = toApiError(error);
    if (apiError.status >= 500 && apiError.status !== 503) reportError?.(error);
    yield frame(apiError.body);
  }
  yield doneFrame;
}

function frame(payload: object): string {
  return `data: ${JSON.stringify(payload)}\n\n`;
}

/** Bun keeps a response's headers back until it has some of its body: whoever waits this long gets a comment with them. Units: milliseconds. */
const openingMs = 250;

type Controller = ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;

/** Starts reading `frames` at once, whether or not anyone pulls. */
export function eventStream(
  frames: AsyncIterable<string>,
  options: EventStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  let queued: string[] = [];
  let queuedChars = 0;
  let isDone = false;
  let isCancelled = false;
  let isBroken = false;
  /** Since something was sent. Units: milliseconds, counted in ticks. */
  let silentMs = 0;
  /** Since something waits that nobody takes. */
  let waitingMs = 0;
  let isCommentDue = false;
  let wake: (() => void) | null = null;
  const { keepAliveMs, slowReaderTimeoutMs = 0 } = options;

  const notify = (): void => {
    wake?.();
    wake = null;
  };
  const giveUp = (controller: Controller): void => {
    if (isDone && queued.length === 0) return;
    isBroken = true;
    isDone = true;
    clearInterval(timer);
    options.onStalled();
    controller.error(new Error('The reader of the stream is too slow.'));
    options.onCancel();
  };
  let opening: ReturnType<typeof setTimeout> | undefined;
  const startOpening = (): void => {
    if (keepAliveMs <= openingMs) return;
    opening = setTimeout(() => {
      isCommentDue = true;
      notify();
    }, openingMs);
    opening.unref();
  };
  let timer: ReturnType<typeof setInterval> | undefined;
  const startTimer = (controller: Controller): void => {
    const periods = [keepAliveMs, Math.ceil(slowReaderTimeoutMs / 3)].filter((ms) => ms > 0);
    if (periods.length === 0) return;
    const tickMs = Math.min(...periods);
    timer = setInterval(() => {
      silentMs += tickMs;
      waitingMs = queued.length > 0 ? waitingMs + tickMs : 0;
      if (slowReaderTimeoutMs > 0 && waitingMs >= slowReaderTimeoutMs) giveUp(controller);
      else if (keepAliveMs > 0 && silentMs >= keepAliveMs) {
        isCommentDue = true;
        notify();
      }
    }, tickMs);
    timer.unref();
  };

  const pump = async (controller: Controller): Promise<void> => {
    for await (const text of frames) {
      if (isCancelled || isBroken) break;
      queued.push(text);
      queuedChars += text.length;
      if (queuedChars > options.maxQueuedChars) {
        giveUp(controller);
        break;
      }
      notify();
    }
    isDone = true;
    // The rest may still wait for its reader.
    if (queued.length === 0) clearInterval(timer);
    notify();
  };

  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      startOpening();
      startTimer(controller);
      void pump(controller);
    },
    async pull(controller) {
      while (queued.length === 0 && !isDone && !isCommentDue) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      clearTimeout(opening);
      if (isCancelled || isBroken) return;
      silentMs = 0;
      if (queued.length > 0) {
        const text = queued.join('');
        queued = [];
        queuedChars = 0;
        waitingMs = 0;
        if (isDone) clearInterval(timer);
        controller.enqueue(encoder.encode(text));
      } else if (isDone) {
        controller.close();
      } else {
        controller.enqueue(encoder.encode(keepAliveComment));
      }
      isCommentDue = false;
    },
    cancel() {
      isCancelled = true;
      isDone = true;
      clearTimeout(opening);
      clearInterval(timer);
      options.onCancel();
      notify();
    },
  });
}
