/** Sampling parameters with every processor off: greedy, and never ended by a token. */
import { NEUTRAL_SAMPLING, type SamplingParams } from '../../src/engine/types.ts';

export const PLAIN_PARAMS: SamplingParams = { ...NEUTRAL_SAMPLING, ignoreEos: true };
