/**
 * The rows of a step that take part in one stage, with the numbers that the stage needs.
 *
 * Owns the layout of an entry: row, then up to three f32. A stage without entries is not dispatched, and one with entries works on
 * their rows alone. Next: `prepare.ts`.
 */

/** Words of an entry. */
const ENTRY_WORDS = 4;

/** Entries of one stage; cleared for each step, the memory only grows. */
export class StageRows {
  count = 0;
  /** Shapes: [count][4]. Limits: may be longer. */
  words = new Uint32Array(8 * ENTRY_WORDS);
  private floats = new Float32Array(this.words.buffer);

  clear(): void {
    this.count = 0;
  }

  add(row: number, a: number, b = 0, c = 0): void {
    const at = this.count++ * ENTRY_WORDS;
    if (at === this.words.length) this.grow();
    this.words[at] = row;
    this.floats[at + 1] = a;
    this.floats[at + 2] = b;
    this.floats[at + 3] = c;
  }

  private grow(): void {
    const { words } = this;
    this.words = new Uint32Array(words.length * 2);
    this.words.set(words);
    this.floats = new Float32Array(this.words.buffer);
  }
}
