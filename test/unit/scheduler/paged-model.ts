/**
 * A deterministic "model" that lives in a paged memory, as the real one does: it sees nothing but the arrays of a step.
 *
 * Each token writes a word into its slot that depends on the word before it, its id and its position. The next token is a
 * hash of all words of the context, read through the block table. So a wrong slot, block, position, context length or
 * sample row changes what comes out, and so does a token that is lost or computed twice in the wrong place. Tokens that are not
 * known when a step is built are looked up where the step that chose them kept them, as on the GPU.
 */

import { PENDING_TOKEN, type StepBatch } from '../../../src/engine/batch.ts';
import type { StepPlan } from '../../../src/engine/plan.ts';
import type { Sequence } from '../../../src/engine/sequence.ts';
import type { SamplingParams } from '../../../src/engine/types.ts';
import { EOS, VOCAB_SIZE } from './fixtures.ts';

function mix(a: number, b: number): number {
  let h = Math.imul(a ^ (b + 0x9e3779b9), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return (h ^ (h >>> 13)) >>> 0;
}

function word(before: number, tokenId: number, position: number): number {
  return mix(mix(before, tokenId), position);
}

/** Reads an element that must exist. Throws: Error where the array ends before it. */
function at(array: Uint32Array, index: number): number {
  const value = array[index];
  if (value === undefined) throw new Error(`index ${index} of ${array.length}`);
  return value;
}

/** The paged memory. Throws: Error where two tokens of a step share a slot or the arrays contradict each other. */
export class PagedModel {
  private readonly memory: Uint32Array;
  /** Step in which a slot was written last. */
  private readonly writtenIn: Uint32Array;
  /** The newest token of each slot. */
  private readonly nextTokens = new Map<number, number>();
  private readonly saved = new Map<Sequence, Uint32Array[]>();
  private step = 0;

  constructor(
    numBlocks: number,
    private readonly blockSize: number,
  ) {
    this.memory = new Uint32Array(numBlocks * blockSize);
    this.writtenIn = new Uint32Array(numBlocks * blockSize);
  }

  /** Runs a step: one hash ("logits") per sampling entry. */
  run(batch: StepBatch): number[] {
    this.step++;
    for (let row = 0; row < batch.numTokens; row++) this.write(batch, row);
    for (let entry = 0; entry < batch.numSequences; entry++) {
      const context = at(batch.positions, at(batch.queryStart, entry + 1) - 1) + 1;
      if (context !== at(batch.contextLength, entry)) throw new Error(`context length of entry ${entry}`);
    }
    const hashes: number[] = [];
    for (let i = 0; i < batch.numSamples; i++) {
      const row = at(batch.sampleRows, i);
      const entry = at(batch.tokenSequence, row);
      if (row + 1 !== at(batch.queryStart, entry + 1)) throw new Error(`sample row ${row} does not end entry ${entry}`);
      let hash = 0;
      for (let position = 0; position < at(batch.contextLength, entry); position++) {
        hash = mix(hash, at(this.memory, this.slotOf(batch, entry, position)));
      }
      hashes.push(hash);
    }
    return hashes;
  }

  /** Copies blocks to where preempted sequences are kept, and back. */
  move({ toSave, toRestore }: StepPlan): void {
    const { memory, blockSize } = this;
    for (const { sequence, blocks } of toSave) {
      this.saved.set(
        sequence,
        blocks.map((block) => memory.slice(block * blockSize, (block + 1) * blockSize)),
      );
    }
    for (const { sequence, blocks } of toRestore) {
      const kept = this.saved.get(sequence);
      if (kept?.length !== blocks.length)
        throw new Error(`${sequence.id}: ${kept?.length} blocks for ${blocks.length}`);
      blocks.forEach((block, i) => {
        memory.set(kept[i] as Uint32Array, block * blockSize);
      });
      this.saved.delete(sequence);
    }
  }

  /** What sampling does with the token that it chose. */
  keep(slot: number, tokenId: number): void {
    this.nextTokens.set(slot, tokenId);
  }

  private tokenOf(word: number): number {
    if (word < PENDING_TOKEN) return word;
    const tokenId = this.nextTokens.get(word - PENDING_TOKEN);
    if (tokenId === undefined) throw new Error(`slot ${word - PENDING_TOKEN} has no token`);
    return tokenId;
  }

  private write(batch: StepBatch, row: number): void {
    const entry = at(batch.tokenSequence, row);
    const position = at(batch.positions, row);
    const slot = at(batch.slots, row);
    if (row < at(batch.queryStart, entry) || row >= at(batch.queryStart, entry + 1)) throw new Error(`row ${row}`);
    if (slot !== this.slotOf(batch, entry, position)) throw new Error(`slot of row ${row} is not in its block table`);
    if (this.writtenIn[slot] === this.step) throw new Error(`slot ${slot} is written twice in a step`);
    const before = position === 0 ? 0 : at(this.memory, this.slotOf(batch, entry, position - 1));
    this.memory[slot] = word(before, this.tokenOf(at(batch.tokenIds, row)), position);
    this.writtenIn[slot] = this.step;
  }

  private slotOf(batch: StepBatch, entry: number, position: number): number {
    const blockIndex = Math.floor(position / this.blockSize);
    if (blockIndex >= batch.blockTableStride) throw new Error(`position ${position} lies beyond the block table`);
    return (
      at(batch.blockTables, entry * batch.blockTableStride + blockIndex) * this.blockSize + (position % this.blockSize)
    );
  }
}

/** "Samples": the first token from the hash on that is not masked by `minTokens`. */
export function chosenToken(hash: number, params: SamplingParams, numOutputTokens: number): number {
  let tokenId = hash % VOCAB_SIZE;
  const isMasked = (id: number) => (!params.ignoreEos && id === EOS) || params.stopTokenIds.includes(id);
  while (numOutputTokens < params.minTokens && isMasked(tokenId)) tokenId = (tokenId + 1) % VOCAB_SIZE;
  return tokenId;
}

/** What a request gives when it has the model for itself: no blocks, no batch, no scheduler. */
export function generatedAlone(promptIds: ArrayLike<number>, params: SamplingParams, maxModelLen: number): number[] {
  const tokens = Array.from(promptIds);
  const output: number[] = [];
  const words: number[] = [];
  for (;;) {
    while (words.length < tokens.length)
      words.push(word(words.at(-1) ?? 0, tokens[words.length] as number, words.length));
    const tokenId = chosenToken(words.reduce(mix, 0), params, output.length);
    tokens.push(tokenId);
    output.push(tokenId);
    const isStop = (tokenId === EOS && !params.ignoreEos) || params.stopTokenIds.includes(tokenId);
    if (isStop || output.length === params.maxTokens || tokens.length === maxModelLen) return output;
  }
}
