import { describe, expect, test } from 'bun:test';
import { BlockPool } from '../../../src/engine/block-pool.ts';

function allocated(pool: BlockPool, numBlocks: number): readonly number[] {
  const allocation = pool.tryAllocate(numBlocks);
  if (!allocation.ok) throw new Error(allocation.reason);
  return allocation.blocks;
}

describe('BlockPool', () => {
  test('hands out each block once and says when there are none', () => {
    const pool = new BlockPool(4, 16);
    expect(allocated(pool, 3)).toEqual([0, 1, 2]);
    expect(pool.numFree).toBe(1);
    expect(pool.tryAllocate(2)).toEqual({ ok: false, reason: 'no-blocks' });
    expect(pool.numFree).toBe(1);
    expect(allocated(pool, 1)).toEqual([3]);
    expect(allocated(pool, 0)).toEqual([]);
    pool.assertInvariants();
  });

  test('reuses the least recently used block first, and the end of a list before its start', () => {
    const pool = new BlockPool(5, 16);
    const first = allocated(pool, 3);
    pool.free(first);
    expect(allocated(pool, 5)).toEqual([3, 4, 2, 1, 0]);
    pool.assertInvariants();
  });

  test('keeps a block until its last holder is gone', () => {
    const pool = new BlockPool(2, 16);
    const [block = -1] = allocated(pool, 1);
    pool.retain(block);
    expect(pool.refCount(block)).toBe(2);
    pool.free([block]);
    expect(pool.numFree).toBe(1);
    pool.free([block]);
    expect(pool.numFree).toBe(2);
    pool.assertInvariants();
  });

  test('revives a free block from the middle of the list', () => {
    const pool = new BlockPool(3, 16);
    pool.retain(1);
    pool.assertInvariants();
    expect(pool.numFree).toBe(2);
    expect(allocated(pool, 2)).toEqual([0, 2]);
    pool.free([1]);
    expect(allocated(pool, 1)).toEqual([1]);
  });

  test('refuses what would corrupt it', () => {
    const pool = new BlockPool(2, 16);
    const blocks = allocated(pool, 1);
    pool.free(blocks);
    expect(() => pool.free(blocks)).toThrow('freed twice');
    expect(() => pool.free([2])).toThrow(RangeError);
    expect(() => pool.retain(-1)).toThrow(RangeError);
    pool.assertInvariants();
    for (const [numBlocks, blockSize] of [
      [0, 16],
      [4, 0],
      [1.5, 16],
    ] as const) {
      expect(() => new BlockPool(numBlocks, blockSize)).toThrow(RangeError);
    }
  });

  test('counts the blocks of tokens', () => {
    const pool = new BlockPool(1, 16);
    expect([0, 1, 16, 17, 32].map((n) => pool.blocksFor(n))).toEqual([0, 1, 1, 2, 2]);
  });
});
