/**
 * The tokens of one sequence whose logits are changed, each once, in the words that the GPU keeps.
 *
 * Owns the layout of an edit on the host, the index from token to edit, and which edits the GPU does not have as they are. It knows no
 * processor: `bias.ts`, `penalties.ts` and `bans.ts` fill it. Next: `edit-heap.ts` (where tables lie), `prepare.ts` (what is uploaded).
 */

/** Words of an edit: token, bias as f32, occurrences, penalty of this step as f32. */
export const EDIT_WORDS = 4;

/** A bias that bans: far below every logit, and finite so that nothing turns into a NaN. */
export const BAN = -3.0e38;

/** So many changes are not listed: all edits are given to the GPU then. */
export const MANY_CHANGES = 9;

/** Edits of one sequence; only grows. */
export class EditTable {
  words = new Uint32Array(16 * EDIT_WORDS);
  /** Edits that changed since the GPU was last given them; from {@link MANY_CHANGES} on there may be more. */
  readonly changed: number[] = [];
  /** Place in the GPU's heap of edits, for the heap and its generation; see `edit-heap.ts`. */
  place: TablePlace | null = null;
  private floats = new Float32Array(this.words.buffer);
  /** How often each edit's token occurs where penalties look, and how often of that in the output. */
  private occurrences = new Uint32Array(16);
  private outputs = new Uint32Array(16);
  private readonly indexOf = new Map<number, number>();
  /** Edits that this step alone changed, and the biases that they had. */
  private readonly passing: { readonly index: number; readonly bias: number }[] = [];

  /** Number of edits. */
  get size(): number {
    return this.indexOf.size;
  }

  addBias(tokenId: number, bias: number): void {
    const index = this.at(tokenId);
    this.setBias(index, Math.max(BAN, this.biasOf(index) + bias));
  }

  /** Counts one more (or one less) occurrence of a token, in the output or in the prompt. */
  count(tokenId: number, isOutput: boolean, change: 1 | -1 = 1): void {
    const index = this.at(tokenId);
    const all = (this.occurrences[index] ?? 0) + change;
    const outputs = (this.outputs[index] ?? 0) + (isOutput ? change : 0);
    this.occurrences[index] = all;
    this.outputs[index] = outputs;
    this.words[index * EDIT_WORDS + 2] = 2 * outputs + (all > 0 ? 1 : 0);
    this.touch(index);
  }

  /** Bans a token until {@link endStep}. */
  banInStep(tokenId: number): void {
    const index = this.at(tokenId);
    this.passing.push({ index, bias: this.biasOf(index) });
    this.setBias(index, BAN);
  }

  /** Lowers a token's logit until {@link endStep}. */
  lowerInStep(tokenId: number, penalty: number): void {
    const index = this.at(tokenId);
    this.passing.push({ index, bias: this.biasOf(index) });
    this.floats[index * EDIT_WORDS + 3] = penalty;
    this.touch(index);
  }

  /** Takes back what held in one step alone. */
  endStep(): void {
    for (let i = this.passing.length - 1; i >= 0; i--) {
      const { index, bias } = this.passing[i] as (typeof this.passing)[number];
      this.setBias(index, bias);
      this.floats[index * EDIT_WORDS + 3] = 0;
    }
    this.passing.length = 0;
  }

  /** The edit of a token; a neutral one is added where there is none. */
  private at(tokenId: number): number {
    const known = this.indexOf.get(tokenId);
    if (known !== undefined) return known;
    const index = this.indexOf.size;
    if (index === this.occurrences.length) this.grow();
    this.indexOf.set(tokenId, index);
    this.words[index * EDIT_WORDS] = tokenId;
    return index;
  }

  private biasOf(index: number): number {
    return this.floats[index * EDIT_WORDS + 1] ?? 0;
  }

  private setBias(index: number, bias: number): void {
    this.floats[index * EDIT_WORDS + 1] = bias;
    this.touch(index);
  }

  private touch(index: number): void {
    const { changed } = this;
    if (changed.length < MANY_CHANGES && !changed.includes(index)) changed.push(index);
  }

  private grow(): void {
    const { words, occurrences, outputs } = this;
    this.words = new Uint32Array(words.length * 2);
    this.words.set(words);
    this.floats = new Float32Array(this.words.buffer);
    this.occurrences = new Uint32Array(occurrences.length * 2);
    this.occurrences.set(occurrences);
    this.outputs = new Uint32Array(outputs.length * 2);
    this.outputs.set(outputs);
  }
}

/** Where a table lies on the GPU. Units: edits. */
export interface TablePlace {
  readonly generation: number;
  readonly start: number;
  readonly room: number;
  /** Edits that the GPU has; 0 until the table is uploaded. */
  numThere: number;
}
