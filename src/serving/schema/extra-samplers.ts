/**
 * The samplers that vLLM does not have, under the names that llama.cpp's server has for them.
 *
 * What each does stands in `docs/sampling.md`. Next: `serving/extra-samplers.ts`, which turns these into engine parameters.
 */
import * as v from 'valibot';
import { integer, optional, real, realAbove } from './fields.ts';

const maxBreakers = 64;
const maxBreakerLength = 40;

/** Far beyond what is of use, and near enough that nothing overflows. */
const maxFactor = 100;

const breaker = v.pipe(
  v.string(),
  v.minLength(1, 'must not be empty'),
  v.maxLength(maxBreakerLength, `must have at most ${maxBreakerLength} characters`),
  v.check((text) => text.isWellFormed(), 'must be well-formed Unicode'),
);

export const extraSamplerEntries = {
  /** 1 turns it off. */
  typical_p: optional(realAbove(0, 1)),
  /** 0 and below turn it off. */
  top_n_sigma: optional(real(-1, maxFactor)),
  temperature_last: optional(v.boolean()),
  /** 0 turns it off. */
  dynatemp_range: optional(real(0, maxFactor)),
  dynatemp_exponent: optional(realAbove(0, maxFactor)),
  /** 0 turns it off. */
  xtc_probability: optional(real(0, 1)),
  /** Above 0.5 no two tokens can reach it. */
  xtc_threshold: optional(real(0, 1)),
  /** 0 turns it off. */
  dry_multiplier: optional(real(0, maxFactor)),
  dry_base: optional(real(1, maxFactor)),
  dry_allowed_length: optional(integer(1)),
  /** -1 = the whole context, 0 turns it off. */
  dry_penalty_last_n: optional(integer(-1)),
  dry_sequence_breakers: optional(
    v.pipe(v.array(breaker), v.maxLength(maxBreakers, `must have at most ${maxBreakers} entries`)),
  ),
  /** 0 turns it off. */
  mirostat: optional(
    v.pipe(
      integer(0, 2),
      v.check((version) => version !== 1, 'must be 0 or 2: version 1 is not supported'),
    ),
  ),
  mirostat_tau: optional(real(0, maxFactor)),
  mirostat_eta: optional(real(0, 1)),
  /** -1 = the whole context, 0 turns all penalties off. */
  repeat_last_n: optional(integer(-1)),
};

const schema = v.object(extraSamplerEntries);

export type WireExtraSamplers = v.InferOutput<typeof schema>;
