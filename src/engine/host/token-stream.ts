/**
 * The streams of the requests in progress: what an engine pushes on one side, callers pull on the other.
 *
 * Owns coalescing, the end of a stream, and the table handle -> stream that every engine of this folder uses. Knows no process
 * and no frame. A slow caller only lets its own list grow, at most by the `maxTokens` events of its request.
 * Next: `client.ts` and `in-process.ts` (who push).
 */
import { EngineError, type TokenEvent, type TokenStream } from '../types.ts';

/** How an aborted stream ends when no token says it. */
const abortEvent: TokenEvent = { tokenId: -1, logprobs: null, finishReason: 'abort', stopTokenId: null };

/** One request's stream. Events that arrived before a failure are given first; the failure is thrown once, then it is over. */
class TokenQueue implements TokenStream {
  #events: TokenEvent[] = [];
  #error: EngineError | null = null;
  #isEnded = false;
  #wake: (() => void) | null = null;
  #arrival: Promise<void> | null = null;

  constructor(readonly onLeave: () => void) {}

  push(event: TokenEvent): void {
    this.#events.push(event);
    if (event.finishReason !== null) this.#isEnded = true;
    this.#signal();
  }

  fail(error: EngineError): void {
    this.#error = error;
    this.#isEnded = true;
    this.#signal();
  }

  async next(): Promise<IteratorResult<readonly TokenEvent[], undefined>> {
    while (this.#events.length === 0) {
      if (this.#error !== null) {
        const error = this.#error;
        this.#error = null;
        throw error;
      }
      if (this.#isEnded) return { done: true, value: undefined };
      this.#arrival ??= new Promise((resolve) => {
        this.#wake = resolve;
      });
      await this.#arrival;
    }
    // Taken after the wake-up and not at the push: all that one chunk of the socket brought comes in one go.
    const value = this.#events;
    this.#events = [];
    return { done: false, value };
  }

  async return(): Promise<IteratorResult<readonly TokenEvent[], undefined>> {
    this.#events = [];
    this.#error = null;
    if (!this.#isEnded) {
      this.#isEnded = true;
      this.onLeave();
    }
    this.#signal();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<readonly TokenEvent[], undefined>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = null;
    this.#arrival = null;
    wake?.();
  }
}

/** The requests in progress of one engine. Handles are never reused while their request is open, and never 0. */
export class StreamTable {
  readonly #streams = new Map<number, TokenQueue>();
  readonly #handles = new Map<string, number>();
  readonly #ids = new Map<number, string>();
  #lastHandle = 0;

  /** `onAbort` is called when a request is ended from this side, by `abort` or because its reader left. */
  constructor(readonly onAbort: (handle: number) => void) {}

  get size(): number {
    return this.#streams.size;
  }

  /** Throws: EngineError when the id is in progress. */
  open(requestId: string): { handle: number; stream: TokenStream } {
    if (this.#handles.has(requestId))
      throw new EngineError('invalid-request', `request ${requestId} is already in progress`);
    do this.#lastHandle = (this.#lastHandle + 1) >>> 0;
    while (this.#lastHandle === 0 || this.#streams.has(this.#lastHandle));
    const handle = this.#lastHandle;
    const stream = new TokenQueue(() => {
      this.#forget(handle);
      this.onAbort(handle);
    });
    this.#streams.set(handle, stream);
    this.#handles.set(requestId, handle);
    this.#ids.set(handle, requestId);
    return { handle, stream };
  }

  /** Unknown handles are ignored: events of an aborted request may still be on their way. */
  push(handle: number, event: TokenEvent): void {
    this.#streams.get(handle)?.push(event);
    if (event.finishReason !== null) this.#forget(handle);
  }

  fail(handle: number, error: EngineError): void {
    this.#streams.get(handle)?.fail(error);
    this.#forget(handle);
  }

  failAll(error: EngineError): void {
    for (const handle of [...this.#streams.keys()]) this.fail(handle, error);
  }

  /** Ends a request with an `abort` event at once, without waiting for the engine. Unknown ids are ignored. */
  abort(requestId: string): void {
    const handle = this.#handles.get(requestId);
    if (handle === undefined) return;
    this.push(handle, abortEvent);
    this.onAbort(handle);
  }

  abortAll(): void {
    for (const requestId of [...this.#handles.keys()]) this.abort(requestId);
  }

  #forget(handle: number): void {
    this.#streams.delete(handle);
    const requestId = this.#ids.get(handle);
    this.#ids.delete(handle);
    if (requestId !== undefined) this.#handles.delete(requestId);
  }
}
