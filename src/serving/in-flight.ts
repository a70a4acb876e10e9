/**
 * The generations in progress: how many there may be, when to come back, and how to end them all.
 *
 * Counts on this side of the engine, at the moment of submission, so that a burst is refused at once and not when the engine's next
 * figures arrive. Next: `generation.ts` (who tells of progress), `routes/generation.ts` (who asks for admission).
 */
import { type ApiError, unavailable } from './errors.ts';
import type { GenerationObserver, GenerationPlan } from './generation.ts';

export interface AdmissionLimits {
  /** Sequences that run or wait; a request with n choices counts n. */
  readonly maxSequences: number;
  /** Prompt tokens of sequences without a first token. */
  readonly maxQueuedTokens: number;
}

/** What the defaults depend on. */
export interface EngineSize {
  readonly maxNumSeqs: number;
  readonly maxModelLen: number;
  readonly numBlocks: number;
  readonly blockSize: number;
}

const minDefaultSequences = 64;

/** Limits as set; null: as many waiting as running sequences, and prompts that fill the KV cache twice. */
export function admissionLimits(
  given: { readonly maxNumQueuedReqs: number | null; readonly maxNumQueuedTokens: number | null },
  size: EngineSize,
): AdmissionLimits {
  const cacheTokens = size.numBlocks * size.blockSize;
  return {
    maxSequences: given.maxNumQueuedReqs ?? Math.max(minDefaultSequences, 2 * size.maxNumSeqs),
    maxQueuedTokens: given.maxNumQueuedTokens ?? Math.max(4 * size.maxModelLen, 2 * cacheTokens),
  };
}

/** A generation that can be given up from here. */
export interface Cancellable {
  cancel(error: unknown): void;
}

/** One admitted generation. To be told what happens to it. */
export interface Ticket extends GenerationObserver {
  /** What {@link InFlight.cancelAll} ends. */
  bind(generation: Cancellable): void;
}

export interface InFlightOptions {
  /** Null: nothing is ever refused. Asked at each request, since the engine's size is known late. */
  limits(): AdmissionLimits | null;
  /** A clock that never goes back. */
  nowMs(): number;
  /** 0 to 1: spreads clients that were refused together. */
  random(): number;
}

/** Weight of the newest measurement of how fast the queue moves. */
const rateShare = 0.2;
/** Units: seconds. */
const retryAfter = { min: 1, max: 60, unknown: 5, jitter: 0.5 } as const;

export class InFlight {
  private readonly open = new Map<Ticket, Cancellable | null>();
  /** Requests that are being read and translated; each will be a sequence at least. */
  private readonly entering = new Set<object>();
  private sequences = 0;
  private tokens = 0;
  /** Queued tokens that go away per second; null before the first measurement. */
  private tokensPerSecond: number | null = null;
  private rejections = { requests: 0, tokens: 0 };

  constructor(private readonly options: InFlightOptions) {}

  /** Generations in progress. */
  get numRequests(): number {
    return this.open.size;
  }

  /** Their sequences, running and waiting. */
  get numSequences(): number {
    return this.sequences;
  }

  /** Prompt tokens that wait for their computation. */
  get numQueuedTokens(): number {
    return this.tokens;
  }

  /** Requests refused so far, by the limit that they met. */
  get numRejections(): { readonly requests: number; readonly tokens: number } {
    return this.rejections;
  }

  /**
   * Lets a request in before its body is read, so that a burst is refused before work is spent on it. `key`: the request.
   * Throws: ApiError 503 with the time to come back.
   */
  enter(key: object): void {
    if (this.sequences + this.entering.size > 0) this.assertFits(1, 1);
    this.entering.add(key);
  }

  /** The request has been answered, or its answer has begun. Harmless for others. */
  leave(key: object): void {
    this.entering.delete(key);
  }

  /**
   * Takes the place of what entered under `key`. A server without sequences takes whatever can run at all.
   * Throws: ApiError 503 with the time to come back.
   */
  admit(plan: GenerationPlan, key?: object): Ticket {
    if (key !== undefined) this.entering.delete(key);
    const lengths = new Map(plan.choices.map(({ index, request }) => [index, request.promptTokenIds.length]));
    const numTokens = [...lengths.values()].reduce((sum, length) => sum + length, 0);
    if (this.sequences > 0) this.assertFits(plan.choices.length, numTokens);
    this.sequences += plan.choices.length;
    this.tokens += numTokens;
    return this.ticket(plan.choices.length, lengths);
  }

  /** Gives up everything that runs; each client is told `error`. */
  cancelAll(error: ApiError): void {
    for (const generation of [...this.open.values()]) generation?.cancel(error);
  }

  private ticket(numChoices: number, waitingTokens: Map<number, number>): Ticket {
    const startMs = this.options.nowMs();
    const tokensAtStart = this.tokens;
    let numOpen = numChoices;
    const ticket: Ticket = {
      bind: (generation) => {
        if (this.open.has(ticket)) this.open.set(ticket, generation);
      },
      tokens: (index) => {
        const length = waitingTokens.get(index);
        if (length === undefined) return;
        waitingTokens.delete(index);
        this.tokens -= length;
        if (numOpen === numChoices && waitingTokens.size === numChoices - 1) this.measure(tokensAtStart, startMs);
      },
      choiceEnded: () => {
        numOpen -= 1;
        this.sequences -= 1;
      },
      ended: () => {
        if (!this.open.delete(ticket)) return;
        this.sequences -= numOpen;
        for (const length of waitingTokens.values()) this.tokens -= length;
        waitingTokens.clear();
        numOpen = 0;
      },
    };
    this.open.set(ticket, null);
    return ticket;
  }

  /** What was queued when this request came has been computed up to its first token. */
  private measure(numTokens: number, startMs: number): void {
    const seconds = (this.options.nowMs() - startMs) / 1000;
    if (seconds <= 0) return;
    const rate = numTokens / seconds;
    const before = this.tokensPerSecond ?? rate;
    this.tokensPerSecond = before + rateShare * (rate - before);
  }

  private assertFits(numSequences: number, numTokens: number): void {
    const limits = this.options.limits();
    if (limits === null) return;
    const numTaken = this.sequences + this.entering.size;
    const tooMany = numTaken + numSequences > limits.maxSequences;
    const tooLong = this.tokens > 0 && this.tokens + numTokens > limits.maxQueuedTokens;
    if (!tooMany && !tooLong) return;
    this.rejections[tooMany ? 'requests' : 'tokens'] += 1;
    const what = tooMany ? `${numTaken} sequences are in progress` : `${this.tokens} prompt tokens are waiting`;
    throw unavailable(`The server is at its limit: ${what}. Try again later or elsewhere.`, this.retryAfterSeconds());
  }

  private retryAfterSeconds(): number {
    const { min, max, unknown, jitter } = retryAfter;
    const seconds = this.tokensPerSecond === null ? unknown : this.tokens / this.tokensPerSecond;
    const bounded = Math.min(max, Math.max(min, seconds));
    return Math.ceil(bounded * (1 + jitter * this.options.random()));
  }
}
