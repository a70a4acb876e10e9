/**
 * Temperature and truncation of one row, with everything that has no effect switched off, so that stages can be left out.
 *
 * Owns the neutral values that the GPU understands, and where in the chain the temperature stands. Next: `prepare.ts`.
 */
import type { SamplingParams } from '../engine/types.ts';

/** Below this a temperature means greedy: logits divided by it would overflow. */
const GREEDY_BELOW = 1e-5;

/** The GPU's "no min-p". */
export const NO_MIN_P = -3.0e38;

/** The draw's "as the entropy of what is left says". */
const DYNAMIC = -1;

/** Settings as the GPU takes them. */
export interface Truncation {
  /** Of the probabilities by which tokens are kept; 0 = greedy. */
  readonly temperature: number;
  /** Of the draw from what was kept; -1 = dynamic. */
  readonly drawTemperature: number;
  /** Natural logarithm; {@link NO_MIN_P} = off. */
  readonly logMinP: number;
  /** 0 = off. */
  readonly topK: number;
  /** 1 = off. */
  readonly topP: number;
}

const GREEDY: Truncation = { temperature: 0, drawTemperature: 0, logMinP: NO_MIN_P, topK: 0, topP: 1 };

/** The truncation of a request. Greedy rows have none: the best token survives every one. Mirostat has its own. */
export function truncationOf(params: SamplingParams, vocab: number): Truncation {
  const { temperature, minP, topK, topP, extras } = params;
  if (!(temperature >= GREEDY_BELOW)) return GREEDY;
  if (extras?.mirostat) return { ...GREEDY, temperature, drawTemperature: temperature };
  const isDynamic = extras !== null && extras.dynatempRange > 0;
  return {
    temperature: isDynamic || extras?.temperatureLast ? 1 : temperature,
    drawTemperature: isDynamic ? DYNAMIC : temperature,
    logMinP: minP > 0 ? Math.log(minP) : NO_MIN_P,
    topK: topK > 0 && topK < vocab ? topK : 0,
    topP: Math.min(topP, 1),
  };
}
