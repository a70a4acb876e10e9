/**
 * Sequences to sample, for tests: neutral parameters with a few changed.
 */
import type { SamplingParams } from '../../src/engine/types.ts';
import type { SampleSource } from '../../src/sampling/source.ts';

/** Samples from the plain distribution of the logits. */
export const PLAIN: SamplingParams = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  seed: null,
  logitBias: [],
  bannedSequences: [],
  allowedTokenIds: null,
  maxTokens: 100,
  minTokens: 0,
  stopTokenIds: [],
  ignoreEos: false,
  numLogprobs: null,
  extras: null,
  numPromptLogprobs: null,
};

/** A sequence with the given parameters changed. */
export function source(
  params: Partial<SamplingParams>,
  more: { promptIds?: readonly number[]; outputIds?: number[]; seed?: readonly [number, number] } = {},
): SampleSource & { readonly outputIds: number[] } {
  return {
    promptIds: more.promptIds ?? [],
    outputIds: more.outputIds ?? [],
    params: { ...PLAIN, ...params },
    seed: more.seed ?? [1, 2],
  };
}
