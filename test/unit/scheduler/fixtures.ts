/**
 * Schedulers and requests with every field set, and a step by hand, for the tests of the scheduling core.
 */

import type { CommitResult, SampledToken, StepPlan } from '../../../src/engine/plan.ts';
import { Scheduler } from '../../../src/engine/scheduler.ts';
import type { SchedulerOptions } from '../../../src/engine/scheduler-options.ts';
import { Sequence } from '../../../src/engine/sequence.ts';
import { type GenerateRequest, NEUTRAL_SAMPLING, type SamplingParams } from '../../../src/engine/types.ts';

export const EOS = 1;
export const VOCAB_SIZE = 100;

const GREEDY: SamplingParams = { ...NEUTRAL_SAMPLING, maxTokens: 8 };

/** A request whose prompt is a count of tokens (2, 3, 4, ...) or given ids. */
export function request(
  id: string,
  prompt: number | readonly number[],
  params: Partial<SamplingParams> = {},
  priority = 0,
): GenerateRequest {
  const promptTokenIds = typeof prompt === 'number' ? Array.from({ length: prompt }, (_, i) => 2 + (i % 90)) : prompt;
  return { id, promptTokenIds, params: { ...GREEDY, ...params }, priority };
}

/** Roomy unless told otherwise: 64 blocks of 4 tokens, 8 sequences, 32 tokens per step. */
export function scheduler(options: Partial<SchedulerOptions> = {}): Scheduler {
  return new Scheduler({
    numBlocks: 64,
    blockSize: 4,
    maxModelLen: 64,
    maxNumSeqs: 8,
    maxNumBatchedTokens: 32,
    enableChunkedPrefill: true,
    enablePrefixCaching: false,
    policy: 'fcfs',
    vocabSize: VOCAB_SIZE,
    eosTokenIds: [EOS],
    seed: 0,
    maxUnknownTokens: () => Number.POSITIVE_INFINITY,
    ...options,
  });
}

/** A sequence outside of any scheduler. */
export function sequence(prompt: number | readonly number[], params: Partial<SamplingParams> = {}): Sequence {
  return new Sequence(request('s', prompt, params), {
    ...{
      arrival: 0,
      arrivalMs: 0,
      maxTokens: params.maxTokens ?? 8,
      seed: [1, 2],
      maxUnknownTokens: Number.POSITIVE_INFINITY,
    },
  });
}

/** One result per entry that samples: the same token for all, or one by request id. */
export function results(plan: StepPlan, tokenId: number | Readonly<Record<string, number>> = 9): SampledToken[] {
  return plan.entries
    .filter((entry) => entry.samples)
    .map(({ sequence: { id } }) => ({
      tokenId: typeof tokenId === 'number' ? tokenId : (tokenId[id] ?? 9),
      logprobs: null,
    }));
}

/** Plans, commits and checks the invariants around it. */
export function step(
  s: Scheduler,
  tokenId: number | Readonly<Record<string, number>> = 9,
): { plan: StepPlan; result: CommitResult } {
  const plan = s.plan();
  s.assertInvariants();
  const result = s.commit(plan, results(plan, tokenId));
  s.assertInvariants();
  return { plan, result };
}

/** A plan as text: `id@start+numTokens`, with `!` where it samples. */
export function described(plan: StepPlan): string[] {
  return plan.entries.map((e) => `${e.sequence.id}@${e.start}+${e.numTokens}${e.samples ? '!' : ''}`);
}
