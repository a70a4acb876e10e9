/**
 * Server-sent events: frames that arrive at their own pace -> a byte stream that the connection pulls.
 *
 * Everything that arrived since the last pull goes out in one piece. What a slow reader leaves lying is bounded: beyond the bound the
 * source is closed and the stream broken. While nothing arrives a comment keeps the connection open. Knows no completion format.
 */
import { toApiError } from '../serving/errors.ts';

export interface EventStreamOptions {
  /** Units: milliseconds of silence before a comment. */
  readonly keepAliveMs: number;
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
  let isSilent = true;
  let isCommentDue = false;
  let wake: (() => void) | null = null;

  const notify = (): void => {
    wake?.();
    wake = null;
  };
  const timer = setInterval(() => {
    isCommentDue = isSilent;
    isSilent = true;
    if (isCommentDue) notify();
  }, options.keepAliveMs);
  timer.unref();

  const pump = async (controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>): Promise<void> => {
    for await (const text of frames) {
      if (isCancelled) break;
      queued.push(text);
      queuedChars += text.length;
      if (queuedChars > options.maxQueuedChars) {
        options.onStalled();
        controller.error(new Error('The reader of the stream is too slow.'));
        break;
      }
      notify();
    }
    isDone = true;
    clearInterval(timer);
    notify();
  };

  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      void pump(controller);
    },
    async pull(controller) {
      while (queued.length === 0 && !isDone && !isCommentDue) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (isCancelled) return;
      isSilent = false;
      if (queued.length > 0) {
        const text = queued.join('');
        queued = [];
        queuedChars = 0;
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
      clearInterval(timer);
      options.onCancel();
      notify();
    },
  });
}
