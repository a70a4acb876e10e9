import { describe, expect, test } from 'bun:test';
import type { GpuBuffer } from '../../../src/engine/gpu/buffer.ts';
import { readSampled } from '../../../src/engine/ops/sample-records.ts';

const buffer = {} as GpuBuffer;

describe('records', () => {
  test('become tokens with the logprobs that each row asked for; what is not finite is floored', () => {
    const words = new Uint32Array(3 * 6);
    const floats = new Float32Array(words.buffer);
    words.set([5, 0, 0, 0, 0, 0], 0);
    words.set([6, 0, 9, 0xffffffff, 0, 0], 6);
    floats.set([-0.5], 7);
    floats.set([-0.25], 10);
    words.set([7], 12);
    floats.set([Number.NEGATIVE_INFINITY], 13);
    const readback = {
      buffer,
      bytes: 72,
      numRows: 3,
      vocab: 10,
      recordWords: 6,
      numLogprobs: Int32Array.of(-1, 2, 0),
      surprises: [],
    };
    expect(readSampled(new Uint8Array(words.buffer), readback)).toEqual([
      { tokenId: 5, logprobs: null },
      { tokenId: 6, logprobs: { logprob: -0.5, top: [{ tokenId: 9, logprob: -0.25 }] } },
      { tokenId: 7, logprobs: { logprob: -9999, top: [] } },
    ]);
  });

  test('an id outside the vocabulary is a fault of the GPU', () => {
    const bytes = new Uint8Array(Uint32Array.of(3, 0, 10, 0).buffer);
    const readback = { buffer, bytes: 16, numRows: 2, vocab: 10, recordWords: 2, numLogprobs: null, surprises: [] };
    expect(() => readSampled(bytes, readback)).toThrow(/row 1/);
  });
});
