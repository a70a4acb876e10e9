/**
 * Numbers that look random and come again with the same seed.
 */

export class Random {
  constructor(private state: number) {}

  /** 0 up to 1, without 1. Source: the splitmix32 generator. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    let word = this.state ^ (this.state >>> 16);
    word = Math.imul(word, 0x21f0aaad);
    word ^= word >>> 15;
    word = Math.imul(word, 0x735a2d97);
    return ((word ^ (word >>> 15)) >>> 0) / 2 ** 32;
  }

  /** 0 up to `limit`, without it. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Throws: RangeError when there is nothing to choose from. */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('There is nothing to choose from.');
    return list[this.below(list.length)] as T;
  }

  isLikely(probability: number): boolean {
    return this.next() < probability;
  }
}
