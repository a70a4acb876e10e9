/**
 * What bounds the scheduler, and which requests those bounds let in.
 *
 * Owns the checks and the clipping; it holds no state. Next: `scheduler.ts`.
 */

import type { Seed } from './sequence.ts';
import type { SchedulingPolicy } from './sequence-queue.ts';
import { EngineError, type GenerateRequest, type SamplingParams } from './types.ts';

/** Units: tokens, unless the name says otherwise. */
export interface SchedulerOptions {
  readonly numBlocks: number;
  readonly blockSize: number;
  /** Prompt and output of one sequence. Limits: 2 to `numBlocks * blockSize`: one sequence alone fits. */
  readonly maxModelLen: number;
  /** Sequences that run at once; clipped to the budget, so that each of them gets a token in every step. */
  readonly maxNumSeqs: number;
  /** The budget of a step; raised to `maxModelLen` without chunked prefill. */
  readonly maxNumBatchedTokens: number;
  /** Off: a prompt is computed in one step or waits. */
  readonly enableChunkedPrefill: boolean;
  /** Share full blocks between sequences with a common beginning. */
  readonly enablePrefixCaching: boolean;
  readonly policy: SchedulingPolicy;
  readonly vocabSize: number;
  readonly eosTokenIds: readonly number[];
  /** Where the seeds of requests without one come from. */
  readonly seed: number;
  /** Blocks that host memory takes from sequences which must make room; absent or 0 = they are computed again. */
  readonly swapBlocks?: number;
  /** While others run, new ones wait until the oldest has waited this many times the last step with a prompt; absent or 0 = never. */
  readonly delayFactor?: number;
  /** How many of its newest tokens may be unknown when a sequence's next one is planned, by its parameters. Absent = 0 for all. */
  readonly maxUnknownTokens?: (params: SamplingParams) => number;
}

/** The options, made consistent. Throws: RangeError where clipping cannot do that. */
export function resolveSchedulerOptions(options: SchedulerOptions): SchedulerOptions {
  const { maxModelLen, numBlocks, blockSize, maxNumSeqs, maxNumBatchedTokens, enableChunkedPrefill } = options;
  for (const [name, value] of Object.entries({ numBlocks, blockSize, maxModelLen, maxNumSeqs, maxNumBatchedTokens })) {
    if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} is ${value}, must be a positive integer`);
  }
  if (maxModelLen < 2 || maxModelLen > numBlocks * blockSize) {
    throw new RangeError(`maxModelLen is ${maxModelLen}, must be 2 to ${numBlocks} blocks of ${blockSize} tokens`);
  }
  const budget = enableChunkedPrefill ? maxNumBatchedTokens : Math.max(maxNumBatchedTokens, maxModelLen);
  return { ...options, maxNumBatchedTokens: budget, maxNumSeqs: Math.min(maxNumSeqs, budget) };
}

/** Refuses a request that could never run. Throws: EngineError 'invalid-request'. */
export function assertRequestFits({ promptTokenIds, params }: GenerateRequest, options: SchedulerOptions): void {
  const { maxModelLen, vocabSize } = options;
  const numPromptTokens = promptTokenIds.length;
  if (numPromptTokens === 0) throw invalidRequest('the prompt is empty');
  if (numPromptTokens >= maxModelLen) {
    throw invalidRequest(
      `the prompt has ${numPromptTokens} tokens, but the limit for prompt and output is ${maxModelLen}`,
    );
  }
  if (!Number.isInteger(params.maxTokens) || params.maxTokens < 1) {
    throw invalidRequest(`maxTokens is ${params.maxTokens}, must be a positive integer`);
  }
  for (const tokenId of promptTokenIds) {
    if (!Number.isInteger(tokenId) || tokenId < 0 || tokenId >= vocabSize) {
      throw invalidRequest(`token id ${tokenId} is not in the vocabulary of ${vocabSize}`);
    }
  }
}

/** An error that blames the request. */
export function invalidRequest(message: string): EngineError {
  return new EngineError('invalid-request', message);
}

/** The seed of the n-th request: unlike its neighbours' in about half of all bits, and the same in every run. */
export function drawSeed(seed: number, arrival: number): Seed {
  const low = seed >>> 0;
  const high = Math.floor(seed / 2 ** 32) >>> 0;
  const mixed = mix(mix(low) ^ high);
  return [mix(mixed + Math.imul(arrival, 2) + 1), mix(mixed + Math.imul(arrival, 2) + 2)];
}

/** Spreads a change of one bit over all of them. Source: the finaliser of MurmurHash3 (32 bit). */
function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
