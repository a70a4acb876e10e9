/**
 * What sampling needs to know of a sequence.
 *
 * Owns one interface, which the engine's sequences fulfil; imports only the parameters' type. Next: `prepare.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';

/** A sequence whose next token is sampled. Its identity is the key of what is kept for it between steps. */
export interface SampleSource {
  readonly promptIds: ArrayLike<number>;
  /** Only ever appended to. */
  readonly outputIds: readonly number[];
  readonly params: SamplingParams;
  /** Two u32 words, [low, high]. */
  readonly seed: readonly [number, number];
}

/** The token at a position of prompt followed by output; -1 outside. */
export function tokenAt({ promptIds, outputIds }: SampleSource, position: number): number {
  const { length } = promptIds;
  return (position < length ? promptIds[position] : outputIds[position - length]) ?? -1;
}
