/**
 * The tokens of one sequence whose logits are changed, each once, in the words that the GPU reads.
 *
 * Owns the layout of an edit on the host and the index from token to edit. It knows no processor: `bias.ts`, `penalties.ts` and
 * `bans.ts` fill it. Next: `prepare.ts` (copies tables into a step).
 */

/** Words of an edit: token, then as f32 bias, repetition penalty, penalty to subtract. */
export const EDIT_WORDS = 4;

/** A bias that bans: far below every logit, and finite so that nothing turns into a NaN. */
export const BAN = -3.0e38;

/** Edits of one sequence; only grows. */
export class EditTable {
  words = new Uint32Array(16 * EDIT_WORDS);
  /** How often each edit's token was sampled. */
  private counts = new Uint32Array(16);
  private floats = new Float32Array(this.words.buffer);
  private readonly indexOf = new Map<number, number>();

  /** Number of edits. */
  get size(): number {
    return this.indexOf.size;
  }

  /** The edit of a token, or undefined. */
  find(tokenId: number): number | undefined {
    return this.indexOf.get(tokenId);
  }

  /** The edit of a token; a neutral one is added where there is none. */
  at(tokenId: number): number {
    const known = this.indexOf.get(tokenId);
    if (known !== undefined) return known;
    const index = this.indexOf.size;
    if (index === this.counts.length) this.grow();
    this.indexOf.set(tokenId, index);
    writeEdit(this.words, this.floats, index, tokenId, 0);
    return index;
  }

  addBias(tokenId: number, bias: number): void {
    const at = this.at(tokenId) * EDIT_WORDS + 1;
    this.floats[at] = Math.max(BAN, (this.floats[at] ?? 0) + bias);
  }

  setRepetition(tokenId: number, penalty: number): void {
    const index = this.at(tokenId);
    this.floats[index * EDIT_WORDS + 2] = penalty;
  }

  /** Counts one more (or one less) occurrence in the output and sets the penalty to count * frequency + presence. */
  countOutput(tokenId: number, frequency: number, presence: number, change: 1 | -1 = 1): void {
    const index = this.at(tokenId);
    const count = (this.counts[index] ?? 0) + change;
    this.counts[index] = count;
    this.floats[index * EDIT_WORDS + 3] = count > 0 ? count * frequency + presence : 0;
  }

  private grow(): void {
    const { words, counts } = this;
    this.words = new Uint32Array(words.length * 2);
    this.words.set(words);
    this.floats = new Float32Array(this.words.buffer);
    this.counts = new Uint32Array(counts.length * 2);
    this.counts.set(counts);
  }
}

/** Writes an edit with a bias and without penalties. `floats` is a view of the same memory as `words`. */
export function writeEdit(
  words: Uint32Array,
  floats: Float32Array,
  index: number,
  tokenId: number,
  bias: number,
): void {
  const at = index * EDIT_WORDS;
  words[at] = tokenId;
  floats[at + 1] = bias;
  floats[at + 2] = 1;
  floats[at + 3] = 0;
}
