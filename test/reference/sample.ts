/**
 * Naive float64 sampling of one row: edits, truncation by sorting, and the draw by the same generator as the shader's. The further
 * samplers stand in `sample-extras.ts`.
 */
import type { SamplingParams } from '../../src/engine/types.ts';
import { dryReference } from './sample-extras.ts';

/** The value of masked logits. */
export const MASKED = -3.0e38;

function multiply(a: number, b: number): { high: number; low: number } {
  const product = BigInt(a) * BigInt(b);
  return { high: Number(product >> 32n), low: Number(product & 0xffffffffn) };
}

/** Philox4x32-10. */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [c0 = 0, c1 = 0, c2 = 0, c3 = 0] = counter;
  let [k0 = 0, k1 = 0] = key;
  for (let round = 0; round < 10; round++) {
    const p = multiply(0xd2511f53, c0);
    const q = multiply(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [(q.high ^ c1 ^ k0) >>> 0, q.low, (p.high ^ c3 ^ k1) >>> 0, p.low];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The Gumbel noise of each token of a row. */
export function gumbelReference(vocab: number, seed: readonly [number, number], counter: number): Float64Array {
  const noise = new Float64Array(vocab);
  let words: number[] = [];
  for (let token = 0; token < vocab; token++) {
    if (token % 4 === 0) words = philox([token / 4, counter, 0, 0], seed);
    noise[token] = -Math.log(-Math.log1p(-((words[token % 4] ?? 0) + 0.5) / 2 ** 32));
  }
  return noise;
}

/** A row to sample, as the reference needs it. */
export interface ReferenceRow {
  readonly params: SamplingParams;
  readonly promptIds: ArrayLike<number>;
  readonly outputIds: readonly number[];
  readonly eosTokenIds: readonly number[];
}

/** Logits after allowed tokens, bans, bias, penalties and DRY. */
export function editedReference(logits: ArrayLike<number>, row: ReferenceRow): Float64Array {
  const { params, outputIds } = row;
  const tokens = [...Array.from(row.promptIds), ...outputIds];
  const banned = new Set<number>();
  for (const sequence of params.bannedSequences) {
    const prefix = sequence.slice(0, -1);
    const end = prefix.length > 0 ? tokens.slice(-prefix.length) : [];
    if (end.join() === prefix.join()) banned.add(sequence.at(-1) ?? -1);
  }
  if (outputIds.length < params.minTokens)
    for (const id of [...row.eosTokenIds, ...params.stopTokenIds]) banned.add(id);
  const repetitions = dryReference(tokens, params.extras?.dry ?? null);
  return Float64Array.from(logits, (raw, id) => {
    if (banned.has(id) || (params.allowedTokenIds && !params.allowedTokenIds.includes(id))) return MASKED;
    let x = raw + (params.logitBias.find(([token]) => token === id)?.[1] ?? 0);
    const lastN = params.extras?.repeatLastN ?? -1;
    const start = lastN < 0 ? 0 : Math.max(0, tokens.length - lastN);
    if (tokens.slice(start).includes(id)) x = x > 0 ? x / params.repetitionPenalty : x * params.repetitionPenalty;
    const seen = tokens.slice(Math.max(start, row.promptIds.length));
    const count = seen.filter((token) => token === id).length;
    return x - count * params.frequencyPenalty - (count > 0 ? params.presencePenalty : 0) - (repetitions.get(id) ?? 0);
  });
}

/** Ids kept by min-p, top-k and top-p of edited logits, most probable first, ties at the end kept. */
export function keptReference(edited: ArrayLike<number>, params: SamplingParams): number[] {
  const x = Float64Array.from(edited);
  let kept = Array.from(x, (_, i) => i).sort((a, b) => (x[b] ?? 0) - (x[a] ?? 0) || a - b);
  if (params.temperature === 0) return kept;
  const value = (rank: number) => x[kept[rank] ?? -1] ?? Number.NaN;
  const peak = value(0);
  const mass = (rank: number) => Math.exp((value(rank) - peak) / params.temperature);
  const keepTo = (length: number) => {
    let end = length;
    while (end < kept.length && value(end) === value(length - 1)) end++;
    kept = kept.slice(0, end);
  };
  if (params.minP > 0) kept = kept.filter((_, rank) => mass(rank) >= params.minP);
  if (params.topK > 0 && params.topK < kept.length) keepTo(params.topK);
  if (params.topP < 1) {
    const total = kept.reduce((sum, _, rank) => sum + mass(rank), 0);
    let sum = 0;
    let length = 0;
    while (length < kept.length && sum < params.topP * total) sum += mass(length++);
    keepTo(length);
  }
  return kept;
}

/** How many tokens {@link keptReference} keeps, for vocabularies that are too large to sort ids of. */
export function keptCountReference(edited: ArrayLike<number>, params: SamplingParams): number {
  const x = Float64Array.from(edited).sort().reverse();
  const value = (rank: number) => x[rank] ?? Number.NaN;
  const mass = (rank: number) => Math.exp(Math.max(value(rank) - value(0), -1e30) / params.temperature);
  const withTies = (length: number, most: number) => {
    let end = length;
    while (end < most && value(end) === value(length - 1)) end++;
    return end;
  };
  let count = x.length;
  if (params.temperature === 0) return count;
  if (params.minP > 0) while (count > 1 && mass(count - 1) < params.minP) count--;
  if (params.topK > 0 && params.topK < count) count = withTies(params.topK, count);
  if (params.topP >= 1) return count;
  let total = 0;
  for (let rank = count - 1; rank >= 0; rank--) total += mass(rank);
  let sum = 0;
  let length = 0;
  while (length < count && sum < params.topP * total) sum += mass(length++);
  return withTies(length, count);
}

/** The winner among the kept tokens, and how far the second lies behind. */
export function drawReference(
  edited: ArrayLike<number>,
  kept: readonly number[],
  temperature: number,
  noise: ArrayLike<number>,
): { token: number; gap: number } {
  let token = -1;
  let best = Number.NEGATIVE_INFINITY;
  let second = Number.NEGATIVE_INFINITY;
  for (const id of [...kept].sort((a, b) => a - b)) {
    const score = (edited[id] ?? 0) + (temperature > 0 ? temperature * (noise[id] ?? 0) : 0);
    if (score > best) {
      second = best;
      best = score;
      token = id;
    } else if (score > second) second = score;
  }
  return { token, gap: best - second };
}
