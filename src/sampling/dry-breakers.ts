/**
 * Finds where a sequence breaker ends, so that a repetition is not followed back over it.
 *
 * Owns the lookup by last token: a tokenizer has thousands of tokens with a line break in them, and a step may ask for one alone.
 * Next: `dry.ts`; `serving/dry-breakers.ts` (text -> token sequences).
 */

/** Breakers by their last token. */
export class BreakerIndex {
  private readonly single = new Set<number>();
  private readonly longer = new Map<number, (readonly number[])[]>();

  constructor(breakers: readonly (readonly number[])[]) {
    for (const breaker of breakers) {
      const last = breaker.at(-1);
      if (last === undefined) continue;
      if (breaker.length === 1) this.single.add(last);
      else this.longer.set(last, [...(this.longer.get(last) ?? []), breaker]);
    }
  }

  /** True when the token alone is a breaker: such a token is never penalised. */
  isBreaker(tokenId: number): boolean {
    return this.single.has(tokenId);
  }

  /** True when a breaker ends with the token at a position. */
  endsAt(tokens: Int32Array, position: number): boolean {
    const token = tokens[position] ?? -1;
    if (this.single.has(token)) return true;
    return this.longer.get(token)?.some((breaker) => endsWith(tokens, position, breaker)) ?? false;
  }
}

function endsWith(tokens: Int32Array, position: number, breaker: readonly number[]): boolean {
  const start = position - breaker.length + 1;
  return start >= 0 && breaker.every((tokenId, i) => tokens[start + i] === tokenId);
}
