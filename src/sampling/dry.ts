/**
 * DRY ("don't repeat yourself"): a penalty on tokens that would go on with a repetition of what was written before.
 *
 * Owns, for every position, how many tokens up to it equal the newest tokens of the sequence. A new token touches only the positions
 * where it stood before, so that a step costs as much as that token is frequent, not as the context is long. A sequence that is new to
 * the state, with its whole prompt, is matched once in linear time. Next: `dry-breakers.ts`, `prepare.ts`.
 * Source: the sampler of that name in llama.cpp, whose results these are.
 */
import type { DryPenalty, SamplingParams } from '../engine/types.ts';
import { BreakerIndex } from './dry-breakers.ts';
import { type SampleSource, tokenAt } from './source.ts';

/** Enough to rule a token out, and finite. */
const MAX_PENALTY = 1e30;

export function dryOf(params: SamplingParams): DryPenalty | null {
  const dry = params.extras?.dry;
  return dry && dry.multiplier > 0 && dry.base >= 1 && dry.lastN !== 0 ? dry : null;
}

/** Repetitions in one sequence. */
export class DryState {
  private tokens = new Int32Array(64);
  /** Length of the match that ends at a position; stale where another token than the newest stands. */
  private matched = new Int32Array(64);
  private count = 0;
  private readonly positions = new Map<number, number[]>();
  private readonly breakers: BreakerIndex;
  /** Position of the last token of the last breaker. */
  private lastBreak = -1;
  private readonly longest = new Map<number, number>();

  constructor(private readonly dry: DryPenalty) {
    this.breakers = new BreakerIndex(dry.breakers);
  }

  /** Sets the penalty of each token that has one, each once. Mutates: into (cleared first). */
  collect(source: SampleSource, into: Map<number, number>): void {
    into.clear();
    this.follow(source);
    const { dry, count, tokens } = this;
    const start = this.windowStart();
    // A match reaches back neither over a breaker nor over the window's start.
    const limit = Math.min(count - start, count - 1 - this.lastBreak);
    if (count - start <= dry.allowedLength || limit < dry.allowedLength) return;
    const { longest } = this;
    longest.clear();
    const places = this.positions.get(tokens[count - 1] ?? -1) ?? [];
    for (let i = places.length - 2; i >= 0; i--) {
      const position = places[i] as number;
      if (position < start) break;
      const length = Math.min(this.matched[position] ?? 0, position - start + 1, limit);
      if (length < dry.allowedLength) continue;
      const following = tokens[position + 1] as number;
      if (length > (longest.get(following) ?? 0)) longest.set(following, length);
    }
    for (const [tokenId, length] of longest) {
      if (this.breakers.isBreaker(tokenId)) continue;
      into.set(tokenId, Math.min(MAX_PENALTY, dry.multiplier * dry.base ** (length - dry.allowedLength)));
    }
  }

  private windowStart(): number {
    return this.dry.lastN < 0 ? 0 : Math.max(0, this.count - this.dry.lastN);
  }

  private follow(source: SampleSource): void {
    const total = source.promptIds.length + source.outputIds.length;
    const numNew = total - this.count;
    if (numNew <= 0) return;
    this.reserve(total);
    for (let i = this.count; i < total; i++) this.tokens[i] = tokenAt(source, i);
    if (numNew === 1) this.append();
    else this.matchAll(total);
  }

  /** Takes in the token at `count`. Positions are visited from the newest back, because each needs its left neighbour's old match. */
  private append(): void {
    const { tokens, matched, positions, count } = this;
    const [token, before] = [tokens[count] as number, count > 0 ? (tokens[count - 1] as number) : -1];
    const places = positions.get(token) ?? [];
    if (places.length === 0) positions.set(token, places);
    const start = this.windowStart();
    for (let i = places.length - 1; i >= 0; i--) {
      const position = places[i] as number;
      if (position < start) break;
      const isGoingOn = position > 0 && tokens[position - 1] === before;
      matched[position] = isGoingOn ? (matched[position - 1] as number) + 1 : 1;
    }
    places.push(count);
    this.count++;
    if (this.breakers.endsAt(tokens, count)) this.lastBreak = count;
  }

  /** Matches all positions with the end of the sequence: the Z function of the reversed tokens. */
  private matchAll(total: number): void {
    const { tokens, matched, positions } = this;
    for (let i = this.count; i < total; i++) {
      const token = tokens[i] as number;
      const places = positions.get(token);
      if (places) places.push(i);
      else positions.set(token, [i]);
    }
    this.count = total;
    const last = total - 1;
    // Reversed positions [left, right) equal the beginning of the reversed sequence.
    let [left, right] = [0, 0];
    for (let k = 1; k < total; k++) {
      let length = k < right ? Math.min(right - k, matched[last - (k - left)] as number) : 0;
      while (k + length < total && tokens[last - length] === tokens[last - k - length]) length++;
      matched[last - k] = length;
      if (k + length > right) [left, right] = [k, k + length];
    }
    this.lastBreak = -1;
    for (let i = last; i >= 0 && this.lastBreak < 0; i--) if (this.breakers.endsAt(tokens, i)) this.lastBreak = i;
  }

  private reserve(length: number): void {
    if (this.tokens.length >= length) return;
    const capacity = Math.max(length, 2 * this.tokens.length);
    this.tokens = withCapacity(this.tokens, capacity);
    this.matched = withCapacity(this.matched, capacity);
  }
}

function withCapacity(array: Int32Array<ArrayBuffer>, capacity: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(capacity);
  larger.set(array);
  return larger;
}
