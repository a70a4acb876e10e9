/**
 * Host memory for the blocks of sequences that had to make room: how much there is, and whose blocks lie in it.
 *
 * Owns the count alone; the scheduler decides who is saved and when one comes back, `runner-swap.ts` moves the bytes.
 * Next: `scheduler.ts`.
 */
import type { Sequence } from './sequence.ts';

/** What is kept of a sequence. */
export interface SavedBlocks {
  /** Tokens from the start that the blocks hold. */
  readonly numTokens: number;
  readonly numBlocks: number;
  /** False until the step before which they are copied is committed. */
  isThere: boolean;
}

/** Room for `capacity` blocks. */
export class SwapSpace {
  private numUsed = 0;

  constructor(
    private readonly capacity: number,
    private readonly blockSize: number,
  ) {}

  /** The blocks of a running sequence that hold something, if there is room for them; else null. Mutates: sequence. */
  trySave(sequence: Sequence): readonly number[] | null {
    const numTokens = sequence.numComputedTokens;
    const numBlocks = Math.ceil(numTokens / this.blockSize);
    if (numBlocks === 0 || this.numUsed + numBlocks > this.capacity) return null;
    this.numUsed += numBlocks;
    sequence.saved = { numTokens, numBlocks, isThere: false };
    return sequence.blockTable.slice(0, numBlocks);
  }

  /** Gives up what is saved of a sequence, if anything is. Mutates: sequence. */
  drop(sequence: Sequence): void {
    this.numUsed -= sequence.saved?.numBlocks ?? 0;
    sequence.saved = null;
  }

  /** Checks the count against the sequences. Throws: Error. */
  assertInvariants(waiting: readonly Sequence[]): void {
    const held = waiting.reduce((sum, { saved }) => sum + (saved?.numBlocks ?? 0), 0);
    if (held !== this.numUsed || held > this.capacity)
      throw new Error(`${held} blocks are saved, ${this.numUsed} counted`);
  }
}
