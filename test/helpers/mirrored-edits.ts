/**
 * What the GPU keeps of edits, for tests without one: uploads and patches taken in as the shader does, and the penalties worked out.
 */
import { EDIT_ROW_WORDS, PATCH_WORDS } from '../../src/engine/ops/sample-batch.ts';
import { type PreparedSamples, SamplingPreparer } from '../../src/sampling/prepare.ts';

export interface MirroredEdit {
  readonly bias: number;
  readonly repetition: number;
  readonly penalty: number;
}

const heaps = new WeakMap<PreparedSamples, Uint32Array<ArrayBuffer>>();

/** A preparer whose steps the mirror takes in. */
export class MirroredPreparer extends SamplingPreparer {
  override prepare(...args: Parameters<SamplingPreparer['prepare']>): PreparedSamples {
    const prepared = super.prepare(...args);
    const { edits, numRows } = prepared;
    let heap = heaps.get(prepared);
    // What a larger buffer holds is anything but what was in the smaller one.
    if (heap?.length !== edits.capacity * 4) heap = new Uint32Array(edits.capacity * 4).fill(7);
    heaps.set(prepared, heap);
    for (const { start, words } of edits.uploads) heap.set(words, start * 4);
    for (let row = 0; row < numRows; row++) {
      const [start = 0, count = 0, , first = 0, num = 0] = edits.rows.subarray(row * EDIT_ROW_WORDS);
      for (let i = first; count > 0 && i < first + num; i++) {
        const [index = 0, ...words] = edits.patches.subarray(i * PATCH_WORDS, (i + 1) * PATCH_WORDS);
        heap.set(words, (start + index) * 4);
      }
    }
    return prepared;
  }
}

/** The edits of a row by token. Throws: where a token has two. */
export function editsOf(prepared: PreparedSamples, row: number): Map<number, MirroredEdit> {
  const heap = heaps.get(prepared) ?? new Uint32Array(0);
  const floats = new Float32Array(heap.buffer);
  const words = prepared.edits.rows.slice(row * EDIT_ROW_WORDS, (row + 1) * EDIT_ROW_WORDS);
  const [start = 0, count = 0] = words;
  const [repetition = 1, frequency = 0, presence = 0] = new Float32Array(words.buffer, 20);
  const found = new Map<number, MirroredEdit>();
  for (let at = start * 4; at < (start + count) * 4; at += 4) {
    const [tokenId = -1, , occurrences = 0] = heap.subarray(at);
    if (found.has(tokenId)) throw new Error(`two edits of token ${tokenId}`);
    const outputs = occurrences >> 1;
    const counted = outputs > 0 ? Math.fround(outputs * frequency + presence) : 0;
    found.set(tokenId, {
      bias: floats[at + 1] ?? 0,
      repetition: occurrences % 2 === 1 ? repetition : 1,
      penalty: counted + (floats[at + 3] ?? 0),
    });
  }
  return found;
}
