/**
 * One sequence in progress: its tokens, how far they are in the KV cache, and its block table.
 *
 * Owns the state of a request and the rule that ends it. Knows no other sequence, no queue and no budget; only the
 * scheduler changes it, everybody else reads. Tokens outlive preemption: what is lost is cache, and
 * computing prompt and output again restores it without a second event.
 * Next: `scheduler.ts` (who runs when), `batch.ts` (what of it goes to the GPU).
 */

import type { SavedBlocks } from './scheduler-swap.ts';
import type { FinishReason, GenerateRequest, SamplingParams } from './types.ts';

/** `waiting`: holds no blocks; `running`: holds blocks; `finished`: left the scheduler (also by abort). */
export type SequenceStatus = 'waiting' | 'running' | 'finished';

/** Two u32 words, [low, high]. */
export type Seed = readonly [number, number];

/** Why a sequence ended with its newest token. */
export interface Finish {
  readonly reason: FinishReason;
  /** See {@link TokenEvent.stopTokenId}. */
  readonly stopTokenId: number | null;
}

/** What the scheduler settled when it took a request. */
export interface SequenceSettings {
  /** Count of requests taken before this one: the order of arrival. */
  readonly arrival: number;
  /** When it was taken. Units: milliseconds. */
  readonly arrivalMs: number;
  /** At most `params.maxTokens`, clipped to the model's length. */
  readonly maxTokens: number;
  /** Used when the request names none. */
  readonly seed: Seed;
  /** See {@link Sequence.maxUnknownTokens}. */
  readonly maxUnknownTokens: number;
}

/** The state of one request. Mutates: by {@link Scheduler} alone. */
export class Sequence {
  readonly id: string;
  readonly promptIds: Uint32Array;
  readonly params: SamplingParams;
  readonly priority: number;
  readonly arrival: number;
  readonly arrivalMs: number;
  readonly maxTokens: number;
  readonly seed: Seed;
  /** Sequences share cached prefixes only when this is the same. */
  readonly cacheSalt: string;
  /** So many of its newest tokens may be unknown when its next one is planned, because the host need not look at them. Limits: 0 to infinity. */
  readonly maxUnknownTokens: number;
  /** Sampled tokens, oldest first. */
  readonly outputIds: number[] = [];
  /** Blocks in order of position: token p lies in `blockTable[floor(p / blockSize)]`. */
  readonly blockTable: number[] = [];
  /** Tokens from the start whose keys and values are in the cache once the steps in flight have run. */
  numComputedTokens = 0;
  /** Tokens that steps in flight sample: they have a place in the cache, but the host does not know them yet. */
  numPending = 0;
  /** Where the GPU keeps its newest token while it runs: at most one running sequence has it. -1 = none. */
  slot = -1;
  /** How many of its blocks the prefix cache knows, and the identity of the last one of them. */
  numIndexedBlocks = 0;
  prefixTail = '';
  /** Tokens that were found in the prefix cache when it was last admitted. */
  numCachedTokens = 0;
  /** Rows of the prompt whose log probabilities are out: row p scores token p + 1. */
  numScoredRows = 0;
  /** What host memory holds of its blocks while it waits; null = nothing. */
  saved: SavedBlocks | null = null;
  status: SequenceStatus = 'waiting';

  constructor(request: GenerateRequest, settings: SequenceSettings) {
    this.id = request.id;
    this.promptIds = Uint32Array.from(request.promptTokenIds);
    this.params = request.params;
    this.priority = request.priority;
    this.arrival = settings.arrival;
    this.arrivalMs = settings.arrivalMs;
    this.maxTokens = settings.maxTokens;
    this.seed = request.params.seed ?? settings.seed;
    this.cacheSalt = request.cacheSalt ?? '';
    this.maxUnknownTokens = settings.maxUnknownTokens;
  }

  /** Prompt and output, as far as known. */
  get numTokens(): number {
    return this.promptIds.length + this.outputIds.length;
  }

  /** Prompt and output with what steps in flight will add. */
  get numPlannedTokens(): number {
    return this.promptIds.length + this.outputIds.length + this.numPending;
  }

  /** Tokens that are not in the cache; 1 = decode: only the newest one is missing. */
  get numRemaining(): number {
    return this.numPlannedTokens - this.numComputedTokens;
  }

  /** True when the steps in flight bring it to its limit: none is planned beyond that. */
  get isPlannedOut(): boolean {
    return this.outputIds.length + this.numPending >= this.maxTokens;
  }

  /** True while too little of it is known to plan its next token. */
  get isAwaited(): boolean {
    return this.numPending > this.maxUnknownTokens && !this.isPlannedOut;
  }

  /** Rows of the prompt that score its next token; 0 unless the request asks for it. */
  get numRowsToScore(): number {
    return this.params.numPromptLogprobs === null ? 0 : this.promptIds.length - 1;
  }

  /** Tokens from the start that need no computing where the cache has them: the newest does, and rows that are not scored yet. */
  get numReusableTokens(): number {
    return this.numScoredRows < this.numRowsToScore ? this.numScoredRows : this.numTokens - 1;
  }

  /** How many rows of a span of tokens are to be scored: those from {@link numScoredRows} on. After a preemption some are out already. */
  numRowsToScoreIn(start: number, numTokens: number): number {
    return Math.max(0, Math.min(start + numTokens, this.numRowsToScore) - Math.max(start, this.numScoredRows));
  }

  /** Most tokens that can ever be in the cache: the last sampled one is never computed. */
  get maxCachedTokens(): number {
    return this.promptIds.length + this.maxTokens - 1;
  }

  /** The token at a position of prompt followed by output. Throws: RangeError beyond the newest known token. */
  tokenAt(position: number): number {
    const prompt = this.promptIds;
    const token = position < prompt.length ? prompt[position] : this.outputIds[position - prompt.length];
    if (token === undefined) throw new RangeError(`sequence ${this.id} has no token at ${position}`);
    return token;
  }

  /**
   * Takes a token that a step sampled and says whether the sequence ends with it.
   * A stop token counts only where sampling does not mask it: after the first `minTokens`; the limit always does.
   * With `ignoreEos` an end-of-sequence id is a token like any other, also as a stop token.
   * Mutates: `outputIds`, `numPending`.
   */
  append(tokenId: number, eosTokenIds: ReadonlySet<number>): Finish | null {
    const { ignoreEos, minTokens, stopTokenIds } = this.params;
    this.outputIds.push(tokenId);
    if (this.numPending > 0) this.numPending--;
    if (this.outputIds.length > minTokens) {
      if (!ignoreEos && eosTokenIds.has(tokenId)) return { reason: 'stop', stopTokenId: null };
      if (stopTokenIds.includes(tokenId)) return { reason: 'stop', stopTokenId: tokenId };
    }
    return this.outputIds.length >= this.maxTokens ? { reason: 'length', stopTokenId: null } : null;
  }
}
