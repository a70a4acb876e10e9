/**
 * Sequences to sample, for tests: neutral parameters with a few changed.
 */
import { NEUTRAL_SAMPLING, type SamplingParams } from '../../src/engine/types.ts';
import type { SampleSource } from '../../src/sampling/source.ts';

/** Samples from the plain distribution of the logits. */
export const PLAIN: SamplingParams = { ...NEUTRAL_SAMPLING, temperature: 1, maxTokens: 100 };

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
