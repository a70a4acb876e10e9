/**
 * A plan as flat typed arrays, in the form in which the GPU reads them.
 *
 * Owns the arrays and reuses them: they only grow, so a steady run of steps allocates nothing. It decides nothing and
 * knows no GPU; what lies beyond the counts of the current step is stale and must not be uploaded.
 * Shape letters: T tokens in the step, S entries (sequences), B block size.
 * Next: `plan.ts` (what comes in), `runner.ts` (who uploads it).
 */

import type { StepPlan } from './plan.ts';

/** Set in a token id that the host does not know yet: the other bits are the slot where the GPU keeps it. Vocabularies are smaller. */
export const PENDING_TOKEN = 0x80000000;

/** The stride of block tables is a multiple of this, so that the shape of a step changes seldom. */
const STRIDE_QUANTUM = 8;

/** The arrays of the step that was built last. Limits: each array may be longer than its shape; the counts rule. */
export class StepBatch {
  /** T. */
  numTokens = 0;
  /** S: entries of the plan, in its order. */
  numSequences = 0;
  /** The first entries: one token each, sampled. Token row i is entry i for them. */
  numDecodes = 0;
  numSamples = 0;
  /** Entries per row of {@link blockTables}: the longest block table of this step, or a little more. */
  blockTableStride = 0;
  /** The longest {@link contextLength} of this step. */
  maxContextLength = 0;
  /** A token's id, or {@link PENDING_TOKEN} and a slot. Shapes: [T]. */
  tokenIds = new Uint32Array(0);
  /** Position in its sequence. Shapes: [T]. */
  positions = new Uint32Array(0);
  /** Where a token's key and value go: block * B + offset. Shapes: [T]. */
  slots = new Uint32Array(0);
  /** Index of the entry a token belongs to. Shapes: [T]. */
  tokenSequence = new Uint32Array(0);
  /** Entry s has the token rows queryStart[s] to queryStart[s + 1] - 1. Shapes: [S + 1]. */
  queryStart = new Uint32Array(0);
  /** Tokens of the sequence in the cache once this step has run. Shapes: [S]. */
  contextLength = new Uint32Array(0);
  /** Token rows whose logits are sampled, in the order of the entries that sample. Shapes: [numSamples]. */
  sampleRows = new Uint32Array(0);
  /** Where the GPU keeps what is sampled, in the same order. Shapes: [numSamples]. */
  sampleSlots = new Uint32Array(0);
  /** Position of what is sampled in its sequence, in the same order. Shapes: [numSamples]. */
  samplePositions = new Uint32Array(0);
  /** Blocks in order of position; 0 after the last block of a row. Shapes: [S][blockTableStride]. */
  blockTables = new Uint32Array(0);

  constructor(readonly blockSize: number) {}

  /** Fills the arrays for a plan. Mutates: everything above; a larger plan replaces the arrays. */
  build(plan: StepPlan): this {
    this.measure(plan);
    this.reserve();
    const { blockSize, tokenIds, positions, slots, tokenSequence } = this;
    const { queryStart, contextLength, blockTables, blockTableStride } = this;
    let row = 0;
    let sample = 0;
    let entryIndex = 0;
    for (const { sequence, start, numTokens, samples } of plan.entries) {
      const table = sequence.blockTable;
      const context = start + numTokens;
      queryStart[entryIndex] = row;
      contextLength[entryIndex] = context;
      const numKnown = sequence.numTokens;
      for (let position = start; position < context; position++) {
        tokenIds[row] = position < numKnown ? sequence.tokenAt(position) : PENDING_TOKEN | sequence.slot;
        positions[row] = position;
        const offset = position % blockSize;
        slots[row] = (table[(position - offset) / blockSize] as number) * blockSize + offset;
        tokenSequence[row++] = entryIndex;
      }
      if (samples) {
        this.sampleRows[sample] = row - 1;
        this.sampleSlots[sample] = sequence.slot;
        this.samplePositions[sample++] = context;
      }
      const numBlocks = Math.ceil(context / blockSize);
      const base = entryIndex * blockTableStride;
      for (let i = 0; i < numBlocks; i++) blockTables[base + i] = table[i] as number;
      blockTables.fill(0, base + numBlocks, base + blockTableStride);
      entryIndex++;
    }
    queryStart[entryIndex] = row;
    return this;
  }

  private measure(plan: StepPlan): void {
    let longest = 0;
    for (const { start, numTokens } of plan.entries) longest = Math.max(longest, start + numTokens);
    this.numTokens = plan.numTokens;
    this.numSequences = plan.entries.length;
    this.numDecodes = plan.numDecodes;
    this.numSamples = plan.numSamples;
    this.maxContextLength = longest;
    this.blockTableStride = Math.ceil(longest / this.blockSize / STRIDE_QUANTUM) * STRIDE_QUANTUM;
  }

  private reserve(): void {
    this.tokenIds = grown(this.tokenIds, this.numTokens);
    this.positions = grown(this.positions, this.numTokens);
    this.slots = grown(this.slots, this.numTokens);
    this.tokenSequence = grown(this.tokenSequence, this.numTokens);
    this.queryStart = grown(this.queryStart, this.numSequences + 1);
    this.contextLength = grown(this.contextLength, this.numSequences);
    this.sampleRows = grown(this.sampleRows, this.numSamples);
    this.sampleSlots = grown(this.sampleSlots, this.numSamples);
    this.samplePositions = grown(this.samplePositions, this.numSamples);
    this.blockTables = grown(this.blockTables, this.numSequences * this.blockTableStride);
  }
}

/** Doubles, so that a context that grows by a token per step seldom replaces an array. */
function grown(array: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  return array.length >= length ? array : new Uint32Array(Math.max(length, 2 * array.length));
}
