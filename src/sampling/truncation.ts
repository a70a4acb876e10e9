/**
 * Temperature and truncation of one row, with everything that has no effect switched off, so that stages can be left out.
 *
 * Owns the neutral values that the GPU understands. Next: `prepare.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';

/** Below this a temperature means greedy: logits divided by it would overflow. */
const GREEDY_BELOW = 1e-5;

/** The GPU's "no min-p". */
export const NO_MIN_P = -3.0e38;

/** Settings as the GPU takes them. */
export interface Truncation {
  /** 0 = greedy. */
  readonly temperature: number;
  /** Natural logarithm; {@link NO_MIN_P} = off. */
  readonly logMinP: number;
  /** 0 = off. */
  readonly topK: number;
  /** 1 = off. */
  readonly topP: number;
}

const GREEDY: Truncation = { temperature: 0, logMinP: NO_MIN_P, topK: 0, topP: 1 };

/** The truncation of a request. Greedy rows have none: the best token survives every one. */
export function truncationOf(params: SamplingParams, vocab: number): Truncation {
  const { temperature, minP, topK, topP } = params;
  if (!(temperature >= GREEDY_BELOW)) return GREEDY;
  return {
    temperature,
    logMinP: minP > 0 ? Math.log(minP) : NO_MIN_P,
    topK: topK > 0 && topK < vocab ? topK : 0,
    topP: Math.min(topP, 1),
  };
}
