/**
 * The wire's further samplers -> the engine's, with their defaults.
 *
 * Source of the defaults: llama.cpp's server, but for `repeat_last_n`, whose default (all tokens) is vLLM's. Next: `dry-breakers.ts`.
 */
import type { DryPenalty, ExtraSamplers } from '../engine/types.ts';
import type { TokenTable } from '../text/token-table.ts';
import { breakerSequences } from './dry-breakers.ts';
import type { WireExtraSamplers } from './schema/extra-samplers.ts';

const dryDefaults = { base: 1.75, allowedLength: 2, lastN: -1, breakers: ['\n', ':', '"', '*'] } as const;
const mirostatDefaults = { tau: 5, eta: 0.1 } as const;
const defaultXtcThreshold = 0.1;
/** Smaller ones would be 0 in f32, and 0 to the power of 0 is no number there. */
const smallestExponent = 1e-4;

/** Null when nothing of it is on. Greedy requests keep what changes logits, and lose what truncates. */
export function toExtraSamplers(wire: WireExtraSamplers, isGreedy: boolean, tokens: TokenTable): ExtraSamplers | null {
  const dry = dryPenalty(wire, tokens);
  const repeatLastN = wire.repeat_last_n ?? -1;
  const extras: ExtraSamplers = isGreedy
    ? { ...neutral, dry, repeatLastN }
    : {
        typicalP: wire.typical_p ?? 1,
        topNSigma: Math.max(0, wire.top_n_sigma ?? 0),
        temperatureLast: wire.temperature_last ?? false,
        dynatempRange: wire.dynatemp_range ?? 0,
        dynatempExponent: Math.max(smallestExponent, wire.dynatemp_exponent ?? 1),
        xtcProbability: wire.xtc_probability ?? 0,
        xtcThreshold: wire.xtc_threshold ?? defaultXtcThreshold,
        dry,
        mirostat:
          wire.mirostat === 2
            ? { tau: wire.mirostat_tau ?? mirostatDefaults.tau, eta: wire.mirostat_eta ?? mirostatDefaults.eta }
            : null,
        repeatLastN,
      };
  return isNeutral(extras) ? null : extras;
}

const neutral: ExtraSamplers = {
  typicalP: 1,
  topNSigma: 0,
  temperatureLast: false,
  dynatempRange: 0,
  dynatempExponent: 1,
  xtcProbability: 0,
  xtcThreshold: defaultXtcThreshold,
  dry: null,
  mirostat: null,
  repeatLastN: -1,
};

function isNeutral(extras: ExtraSamplers): boolean {
  return (
    extras.typicalP === 1 &&
    extras.topNSigma === 0 &&
    !extras.temperatureLast &&
    extras.dynatempRange === 0 &&
    extras.xtcProbability === 0 &&
    extras.dry === null &&
    extras.mirostat === null &&
    extras.repeatLastN === -1
  );
}

function dryPenalty(wire: WireExtraSamplers, tokens: TokenTable): DryPenalty | null {
  const multiplier = wire.dry_multiplier ?? 0;
  const lastN = wire.dry_penalty_last_n ?? dryDefaults.lastN;
  if (multiplier === 0 || lastN === 0) return null;
  return {
    multiplier,
    base: wire.dry_base ?? dryDefaults.base,
    allowedLength: wire.dry_allowed_length ?? dryDefaults.allowedLength,
    lastN,
    breakers: breakerSequences(wire.dry_sequence_breakers ?? dryDefaults.breakers, tokens),
  };
}
