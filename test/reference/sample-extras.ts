/**
 * Naive float64 versions of the samplers that vLLM does not have, and the whole chain of truncation with them.
 *
 * Everything is computed from probabilities, as the samplers are defined, where the kernels work on logits.
 */
import type { DryPenalty, ExtraSamplers, SamplingParams } from '../../src/engine/types.ts';

/** Below this a logit is masked. */
const BANNED = -1e30;

/** The penalty of each token that would go on with a repetition, by comparing every position with the end of the sequence. */
export function dryReference(tokens: readonly number[], dry: DryPenalty | null): Map<number, number> {
  const penalties = new Map<number, number>();
  if (dry === null || dry.multiplier === 0 || dry.lastN === 0) return penalties;
  const seen = dry.lastN < 0 ? tokens : tokens.slice(-dry.lastN);
  const last = seen.length - 1;
  let sinceBreak = seen.length;
  for (const breaker of dry.breakers) {
    for (let end = last; end >= breaker.length - 1; end--) {
      const isThere = breaker.every((token, i) => seen[end - breaker.length + 1 + i] === token);
      if (isThere) sinceBreak = Math.min(sinceBreak, last - end);
    }
  }
  const lengths = new Map<number, number>();
  for (let end = 0; end < last; end++) {
    let length = 0;
    while (length <= end && length < sinceBreak && seen[end - length] === seen[last - length]) length++;
    const next = seen[end + 1] ?? -1;
    if (length >= dry.allowedLength) lengths.set(next, Math.max(length, lengths.get(next) ?? 0));
  }
  for (const [token, length] of lengths) {
    if (dry.breakers.some((breaker) => breaker.length === 1 && breaker[0] === token)) continue;
    penalties.set(token, dry.multiplier * dry.base ** (length - dry.allowedLength));
  }
  return penalties;
}

/** What decides of a row besides its parameters. */
export interface ChainState {
  /** The row's coin for XTC, in (0, 1). */
  readonly coin: number;
  /** Mirostat's bits. */
  readonly mu: number;
  /** Moves typical sampling's centre, to see which tokens are too close to call. */
  readonly shift: number;
}

export interface Chain {
  /** Most probable first. */
  readonly kept: number[];
  /** Of the draw from them. */
  readonly temperature: number;
}

/** The tokens that are left of edited logits, and the temperature of the draw. Ties at an end are kept. */
export function chainReference(edited: ArrayLike<number>, params: SamplingParams, state: ChainState): Chain {
  const x = Float64Array.from(edited);
  const at = (id: number) => x[id] ?? Number.NaN;
  const ids = Array.from(x, (_, id) => id).sort((a, b) => at(b) - at(a) || a - b);
  const { temperature, extras } = params;
  if (temperature === 0 || extras === null) throw new Error('the reference is for rows with further samplers');
  let kept = ids.filter((id) => at(id) > BANNED);
  if (extras.mirostat) {
    const bits = probabilitiesOf(kept.map(at), temperature).map((p) => -Math.log2(p));
    const best = at(kept[0] ?? -1);
    return { kept: kept.filter((id, rank) => at(id) === best || (bits[rank] ?? 0) <= state.mu), temperature };
  }
  const isDynamic = extras.dynatempRange > 0;
  const measure = isDynamic || extras.temperatureLast ? 1 : temperature;
  const keepTo = (length: number) => {
    const end = at(kept[length - 1] ?? -1);
    kept = kept.filter((id, rank) => rank < length || at(id) === end);
  };
  if (extras.topNSigma > 0) {
    const mean = sum(kept.map(at)) / kept.length;
    const sigma = Math.sqrt(sum(kept.map((id) => (at(id) - mean) ** 2)) / kept.length);
    const peak = at(kept[0] ?? -1);
    kept = kept.filter((id) => at(id) >= peak - extras.topNSigma * sigma);
  }
  if (params.minP > 0) {
    const p = probabilitiesOf(kept.map(at), measure);
    kept = kept.filter((_, rank) => (p[rank] ?? 0) >= params.minP * (p[0] ?? 0));
  }
  if (params.topK > 0) keepTo(params.topK);
  if (extras.typicalP < 1) kept = typicalReference(kept, at, measure, extras.typicalP, state.shift);
  if (params.topP < 1) {
    const p = probabilitiesOf(kept.map(at), measure);
    keepTo(reached(p, params.topP));
  }
  if (state.coin <= extras.xtcProbability && extras.xtcThreshold <= 0.5) {
    const p = probabilitiesOf(kept.map(at), measure);
    const numAbove = p.filter((value) => value >= extras.xtcThreshold).length;
    const last = at(kept[numAbove - 1] ?? -1);
    if (numAbove > 1) kept = kept.filter((id) => at(id) <= last);
  }
  return { kept, temperature: isDynamic ? dynamicTemperature(kept.map(at), temperature, extras) : temperature };
}

function typicalReference(
  kept: readonly number[],
  at: (id: number) => number,
  temperature: number,
  typicalP: number,
  shift: number,
): number[] {
  const p = probabilitiesOf(kept.map(at), temperature);
  const entropy = -sum(p.map((value) => (value > 0 ? value * Math.log(value) : 0)));
  const distance = p.map((value) => Math.abs(-Math.log(value) - entropy + shift));
  const ranks = kept.map((_, rank) => rank).sort((a, b) => (distance[a] ?? 0) - (distance[b] ?? 0) || a - b);
  const length = reached(
    ranks.map((rank) => p[rank] ?? 0),
    typicalP,
  );
  const last = at(kept[ranks[length - 1] ?? -1] ?? -1);
  const chosen = new Set(ranks.slice(0, length));
  return kept.filter((id, rank) => chosen.has(rank) || at(id) === last);
}

function dynamicTemperature(logits: readonly number[], temperature: number, extras: ExtraSamplers): number {
  const lowest = Math.max(0, temperature - extras.dynatempRange);
  const highest = temperature + extras.dynatempRange;
  if (logits.length < 2) return lowest;
  const entropy = -sum(probabilitiesOf(logits, 1).map((p) => (p > 0 ? p * Math.log(p) : 0)));
  return lowest + (highest - lowest) * (entropy / Math.log(logits.length)) ** extras.dynatempExponent;
}

/** Bits of a token's surprise among the kept ones. */
export function surpriseReference(edited: ArrayLike<number>, { kept, temperature }: Chain, token: number): number {
  const p = probabilitiesOf(
    kept.map((id) => edited[id] ?? Number.NaN),
    temperature,
  );
  return -Math.log2(p[kept.indexOf(token)] ?? Number.NaN);
}

/** Softmax. */
export function probabilitiesOf(logits: readonly number[], temperature: number): number[] {
  const peak = logits.reduce((best, x) => Math.max(best, x), Number.NEGATIVE_INFINITY);
  const masses = logits.map((x) => Math.exp((x - peak) / temperature));
  const total = sum(masses);
  return masses.map((mass) => mass / total);
}

/** How many of the numbers it takes to reach a share of their sum. */
function reached(p: readonly number[], share: number): number {
  const wanted = share * sum(p);
  let got = 0;
  let length = 0;
  while (length < p.length && got < wanted) got += p[length++] ?? 0;
  return length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
