/**
 * An engine without a model: what it "generates" is written by the test, token by token.
 *
 * Keeps the contract of `Engine`: queues at once, gives all events since the last pull, aborts when a reader leaves.
 */
import {
  type Engine,
  EngineError,
  type EngineInfo,
  type EngineState,
  type EngineStats,
  type FinishReason,
  type GenerateRequest,
  type TokenEvent,
  type TokenLogprobs,
  type TokenStream,
} from '../../src/engine/types.ts';

/** One step of a script: a token, a pause until {@link FakeEngine.release} or an abort, or a failure. */
export type ScriptStep = number | 'hold' | EngineError;

/** What a request is answered with; an end-of-sequence token follows unless the limit came first. */
export type Script = (request: GenerateRequest) => Iterable<ScriptStep>;

export interface FakeEngineOptions {
  readonly script: Script;
  readonly eosTokenId: number;
  readonly vocabSize: number;
  readonly maxModelLen?: number;
}

interface Running {
  readonly request: GenerateRequest;
  readonly steps: Iterator<ScriptStep>;
  readonly events: TokenEvent[];
  numTokens: number;
  error: EngineError | null;
  isFinished: boolean;
  isHeld: boolean;
  wake: () => void;
}

export class FakeEngine implements Engine {
  state: EngineState = 'ready';
  /** Every request that was taken, in order. */
  readonly requests: GenerateRequest[] = [];
  /** Ids of requests that were aborted while running. */
  readonly aborted: string[] = [];
  /** When set, the next requests are refused with it. */
  refuseWith: EngineError | null = null;
  /** Refuses the request of this number (from 0) and later ones. */
  refuseFrom = Number.POSITIVE_INFINITY;
  private readonly running = new Map<string, Running>();
  private readonly listeners = new Set<(state: EngineState, error: EngineError | null) => void>();
  private idleWaiters: (() => void)[] = [];
  private heldWaiters: (() => void)[] = [];

  constructor(private readonly options: FakeEngineOptions) {}

  get info(): EngineInfo {
    return {
      architecture: 'FakeForCausalLM',
      vocabSize: this.options.vocabSize,
      maxModelLen: this.options.maxModelLen ?? 256,
      maxNumSeqs: 8,
      eosTokenIds: [this.options.eosTokenId],
      blockSize: 16,
      numBlocks: 100,
      adapter: 'none',
      binding: 'none',
      dtype: 'float32',
      weightBytes: 0,
      kvCacheBytes: 0,
    };
  }

  /** Requests that have not finished. */
  get numRunning(): number {
    return this.running.size;
  }

  stats(): EngineStats {
    return {
      numRunning: this.running.size,
      numWaiting: 0,
      numBlocks: 100,
      numFreeBlocks: 100 - this.running.size,
      numPreemptions: 3,
      numSteps: 0,
      promptTokens: this.requests.reduce((sum, request) => sum + request.promptTokenIds.length, 0),
      generationTokens: 0,
      prefixQueryTokens: 0,
      prefixHitTokens: 0,
      hostStepMs: 0,
    };
  }

  generate(request: GenerateRequest): TokenStream {
    if (this.refuseWith !== null) throw this.refuseWith;
    if (this.requests.length >= this.refuseFrom) throw new EngineError('overloaded', 'The queue is full.');
    if (this.running.has(request.id)) throw new EngineError('invalid-request', `The id ${request.id} is in use.`);
    this.requests.push(request);
    const entry: Running = {
      request,
      steps: this.options.script(request)[Symbol.iterator](),
      events: [],
      numTokens: 0,
      error: null,
      isFinished: false,
      isHeld: false,
      wake: () => {},
    };
    this.running.set(request.id, entry);
    this.scorePrompt(entry);
    void this.run(entry);
    return this.stream(entry);
  }

  abort(requestId: string): void {
    const entry = this.running.get(requestId);
    if (entry === undefined) return;
    this.aborted.push(requestId);
    this.finish(entry, -1, 'abort', null);
  }

  /** Lets everything that is held go on. */
  release(): void {
    for (const entry of [...this.running.values()]) {
      if (!entry.isHeld) continue;
      entry.isHeld = false;
      void this.run(entry);
    }
  }

  /** Resolves when nothing runs. */
  idle(): Promise<void> {
    return this.running.size === 0 ? Promise.resolve() : new Promise((resolve) => this.idleWaiters.push(resolve));
  }

  /** Resolves when some request has reached a `hold`. */
  held(): Promise<void> {
    if ([...this.running.values()].some((entry) => entry.isHeld)) return Promise.resolve();
    return new Promise((resolve) => this.heldWaiters.push(resolve));
  }

  setState(state: EngineState, error: EngineError | null = null): void {
    this.state = state;
    for (const listener of this.listeners) listener(state, error);
  }

  ready(): Promise<EngineInfo> {
    return Promise.resolve(this.info);
  }

  onStateChange(listener: (state: EngineState, error: EngineError | null) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): Promise<void> {
    for (const id of [...this.running.keys()]) this.abort(id);
    this.setState('closed');
    return Promise.resolve();
  }

  private async run(entry: Running): Promise<void> {
    const { params } = entry.request;
    while (!entry.isFinished) {
      // One token per turn, so that tokens arrive apart.
      await Promise.resolve();
      const step = entry.steps.next();
      if (entry.isFinished) return;
      const value = step.done === true ? this.options.eosTokenId : step.value;
      if (value === 'hold') {
        entry.isHeld = true;
        for (const resolve of this.heldWaiters.splice(0)) resolve();
        return;
      }
      if (value instanceof EngineError) {
        entry.error = value;
        this.end(entry);
        return;
      }
      entry.numTokens += 1;
      const isEos = value === this.options.eosTokenId && !params.ignoreEos;
      const isStop = params.stopTokenIds.includes(value);
      if ((isEos || isStop) && entry.numTokens > params.minTokens)
        this.finish(entry, value, 'stop', isEos ? null : value);
      else if (entry.numTokens >= params.maxTokens) this.finish(entry, value, 'length', null);
      else
        this.emit(entry, {
          tokenId: value,
          logprobs: this.logprobs(entry.request, value),
          finishReason: null,
          stopTokenId: null,
        });
    }
  }

  /** In pieces of at most two tokens: token i has -i, rank 1 + i, and the ids 0, 1, 2 ... as the most probable ones. */
  private scorePrompt(entry: Running): void {
    const { promptTokenIds, params } = entry.request;
    const { numPromptLogprobs } = params;
    if (numPromptLogprobs === null) return;
    const top = Array.from({ length: numPromptLogprobs }, (_, i) => ({ tokenId: i, logprob: -0.25 - i }));
    const all = Array.from({ length: promptTokenIds.length - 1 }, (_, i) => ({ logprob: -1 - i, rank: 2 + i, top }));
    for (let first = 0; first < all.length; first += 2) {
      const promptLogprobs = all.slice(first, first + 2);
      this.emit(entry, { tokenId: -1, logprobs: null, finishReason: null, stopTokenId: null, promptLogprobs });
    }
  }

  private finish(entry: Running, tokenId: number, finishReason: FinishReason, stopTokenId: number | null): void {
    const logprobs = tokenId < 0 ? null : this.logprobs(entry.request, tokenId);
    this.emit(entry, { tokenId, logprobs, finishReason, stopTokenId });
    this.end(entry);
  }

  private emit(entry: Running, event: TokenEvent): void {
    entry.events.push(event);
    entry.wake();
  }

  private end(entry: Running): void {
    entry.isFinished = true;
    this.running.delete(entry.request.id);
    entry.wake();
    if (this.running.size === 0) for (const resolve of this.idleWaiters.splice(0)) resolve();
  }

  /** The sampled token has -0.5, the ids after it -1.5, -2.5 and so on. */
  private logprobs(request: GenerateRequest, tokenId: number): TokenLogprobs | null {
    const { numLogprobs } = request.params;
    if (numLogprobs === null) return null;
    const top = Array.from({ length: numLogprobs }, (_, i) => ({
      tokenId: (tokenId + i) % this.options.vocabSize,
      logprob: -0.5 - i,
    }));
    return { logprob: -0.5, top };
  }

  private async *events(entry: Running): AsyncGenerator<readonly TokenEvent[], undefined, undefined> {
    try {
      for (;;) {
        if (entry.events.length > 0) yield entry.events.splice(0);
        else if (entry.error !== null) throw entry.error;
        else if (entry.isFinished) return undefined;
        else
          await new Promise<void>((resolve) => {
            entry.wake = resolve;
          });
      }
    } finally {
      this.abort(entry.request.id);
    }
  }

  private stream(entry: Running): TokenStream {
    return this.events(entry);
  }
}
