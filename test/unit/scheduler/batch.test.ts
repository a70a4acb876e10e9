import { describe, expect, test } from 'bun:test';
import { PENDING_TOKEN, StepBatch } from '../../../src/engine/batch.ts';
import type { StepPlan } from '../../../src/engine/plan.ts';
import type { Sequence } from '../../../src/engine/sequence.ts';
import { request, scheduler, sequence, step } from './fixtures.ts';

function withBlocks(s: Sequence, blocks: readonly number[]): Sequence {
  s.blockTable.push(...blocks);
  return s;
}

/** A decode at position 5, a chunk of three at 2 that does not sample, a whole prompt of two. Block size 4. */
function mixedPlan(): StepPlan {
  const decode = withBlocks(sequence([10, 11, 12, 13, 14, 15]), [7, 3]);
  const chunk = withBlocks(sequence([20, 21, 22, 23, 24, 25, 26, 27, 28]), [5, 0, 6]);
  const whole = withBlocks(sequence([30, 31]), [1]);
  return {
    entries: [
      { sequence: decode, start: 5, numTokens: 1, samples: true },
      { sequence: chunk, start: 2, numTokens: 3, samples: false },
      { sequence: whole, start: 0, numTokens: 2, samples: true },
    ],
    numDecodes: 1,
    numTokens: 6,
    numSamples: 2,
    preempted: [],
    toSave: [],
    toRestore: [],
  };
}

function values(array: Uint32Array, length: number): number[] {
  return [...array.subarray(0, length)];
}

describe('StepBatch', () => {
  test('names the slot of a token that is not known yet', () => {
    const decode = withBlocks(sequence([10, 11]), [7]);
    decode.slot = 5;
    decode.numPending = 2;
    const entries = [{ sequence: decode, start: 2, numTokens: 1, samples: true }];
    const batch = new StepBatch(4).build({
      entries,
      numDecodes: 1,
      numTokens: 1,
      numSamples: 1,
      preempted: [],
      toSave: [],
      toRestore: [],
    });
    expect(values(batch.tokenIds, 1)).toEqual([PENDING_TOKEN + 5]);
    expect(values(batch.sampleSlots, 1)).toEqual([5]);
    expect(values(batch.samplePositions, 1)).toEqual([3]);
  });

  test('flattens a mixed plan', () => {
    const batch = new StepBatch(4).build(mixedPlan());
    expect([batch.numTokens, batch.numSequences, batch.numDecodes, batch.numSamples]).toEqual([6, 3, 1, 2]);
    expect(values(batch.tokenIds, 6)).toEqual([15, 22, 23, 24, 30, 31]);
    expect(values(batch.positions, 6)).toEqual([5, 2, 3, 4, 0, 1]);
    expect(values(batch.slots, 6)).toEqual([3 * 4 + 1, 5 * 4 + 2, 5 * 4 + 3, 0, 4, 5]);
    expect(values(batch.tokenSequence, 6)).toEqual([0, 1, 1, 1, 2, 2]);
    expect(values(batch.queryStart, 4)).toEqual([0, 1, 4, 6]);
    expect(values(batch.contextLength, 3)).toEqual([6, 5, 2]);
    expect(values(batch.sampleRows, 2)).toEqual([0, 5]);
    expect(values(batch.samplePositions, 2)).toEqual([6, 2]);
    expect([batch.blockTableStride, batch.maxContextLength]).toEqual([8, 6]);
    const tables = [0, 8, 16].flatMap((row) => values(batch.blockTables.subarray(row), 8));
    expect(tables).toEqual(
      [
        [7, 3],
        [5, 0],
        [1, 0],
      ].flatMap((blocks) => [...blocks, 0, 0, 0, 0, 0, 0]),
    );
  });

  test('leaves nothing of a larger step in a smaller one, and keeps its arrays', () => {
    const batch = new StepBatch(4).build(mixedPlan());
    const { tokenIds, blockTables } = batch;
    const long = withBlocks(sequence([10, 11, 12, 13, 14, 15]), [9, 8]);
    const short = withBlocks(sequence([30]), [4]);
    const entries = [long, short].map((s) => ({ sequence: s, start: s.numTokens - 1, numTokens: 1, samples: true }));
    batch.build({ entries, numDecodes: 2, numTokens: 2, numSamples: 2, preempted: [], toSave: [], toRestore: [] });
    expect(values(batch.tokenIds, 2)).toEqual([15, 30]);
    expect(values(batch.blockTables, 2)).toEqual([9, 8]);
    expect(values(batch.blockTables.subarray(8), 8)).toEqual([4, 0, 0, 0, 0, 0, 0, 0]);
    expect(values(batch.sampleRows, 2)).toEqual([0, 1]);
    expect(batch.tokenIds).toBe(tokenIds);
    expect(batch.blockTables).toBe(blockTables);
  });

  test('replaces arrays only now and then while contexts grow', () => {
    const s = scheduler({ maxModelLen: 64 });
    const batch = new StepBatch(4);
    const seen = new Set<Uint32Array>();
    s.add(request('a', 1, { maxTokens: 63 }));
    while (s.hasWork) {
      const plan = s.plan();
      seen.add(batch.build(plan).blockTables);
      s.commit(plan, [{ tokenId: 9, logprobs: null }]);
    }
    expect(seen.size).toBeLessThanOrEqual(6);
  });

  test('takes an empty plan', () => {
    const batch = new StepBatch(4).build(scheduler().plan());
    expect([batch.numTokens, batch.numSequences, batch.blockTableStride]).toEqual([0, 0, 0]);
    expect(values(batch.queryStart, 1)).toEqual([0]);
  });

  test('takes what the scheduler plans', () => {
    const s = scheduler();
    s.add(request('a', 3));
    step(s);
    s.add(request('b', 5));
    const plan = s.plan();
    const batch = new StepBatch(4).build(plan);
    expect(values(batch.tokenIds, 6)).toEqual([9, 2, 3, 4, 5, 6]);
    expect(values(batch.contextLength, 2)).toEqual([4, 5]);
  });
});
