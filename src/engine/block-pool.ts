/**
 * Who holds which block of the KV cache: a fixed pool with reference counts.
 *
 * Owns the free list and the counts, nothing else: it knows no sequence, no token and no GPU buffer.
 * Free blocks form a doubly linked list in order of last use, kept in typed arrays: taking, returning and reviving one
 * block are O(1). The least recently used block is handed out first, so that cached prefixes can later live longest.
 * Next: `scheduler.ts`, the only caller.
 */

/** What {@link BlockPool.tryAllocate} gives. */
export type Allocation =
  | { readonly ok: true; readonly blocks: readonly number[] }
  | { readonly ok: false; readonly reason: 'no-blocks' };

const NO_BLOCKS: Allocation = { ok: false, reason: 'no-blocks' };

/** `numBlocks` blocks that hold `blockSize` tokens each. Throws: RangeError unless both are positive integers. */
export class BlockPool {
  private readonly refCounts: Uint32Array;
  /** Links of the free list; index `numBlocks` is its sentinel, so that no end is a special case. */
  private readonly next: Uint32Array;
  private readonly previous: Uint32Array;
  private numFreeBlocks = 0;

  constructor(
    readonly numBlocks: number,
    readonly blockSize: number,
  ) {
    for (const size of [numBlocks, blockSize]) {
      if (!Number.isInteger(size) || size < 1)
        throw new RangeError(`a pool cannot have ${numBlocks} blocks of ${blockSize} tokens`);
    }
    this.refCounts = new Uint32Array(numBlocks);
    this.next = new Uint32Array(numBlocks + 1);
    this.previous = new Uint32Array(numBlocks + 1);
    this.next[numBlocks] = this.previous[numBlocks] = numBlocks;
    for (let block = 0; block < numBlocks; block++) this.pushFree(block);
  }

  get numFree(): number {
    return this.numFreeBlocks;
  }

  /** How many blocks hold `numTokens` tokens. */
  blocksFor(numTokens: number): number {
    return Math.ceil(numTokens / this.blockSize);
  }

  /** How many holders a block has; 0 = free. Throws: RangeError for a block that is not in the pool. */
  refCount(block: number): number {
    const count = this.refCounts[block];
    if (count === undefined) throw new RangeError(`no block ${block} in a pool of ${this.numBlocks}`);
    return count;
  }

  /** Takes `numBlocks` blocks, least recently used first, with one holder each; all or none. Mutates: the pool. */
  tryAllocate(numBlocks: number): Allocation {
    if (numBlocks > this.numFreeBlocks) return NO_BLOCKS;
    const blocks: number[] = [];
    for (let i = 0; i < numBlocks; i++) {
      const block = this.next[this.numBlocks] as number;
      this.unlinkFree(block);
      this.refCounts[block] = 1;
      blocks.push(block);
    }
    return { ok: true, blocks };
  }

  /** Adds a holder to a block. A free block whose contents are still wanted leaves the free list. Mutates: the pool. */
  retain(block: number): void {
    const count = this.refCount(block);
    if (count === 0) this.unlinkFree(block);
    this.refCounts[block] = count + 1;
  }

  /**
   * Takes one holder from each block; those without holders become free, the last of the list to be reused first:
   * the start of a sequence is what others are likely to share.
   * Throws: RangeError for a block that is free already.
   * Mutates: the pool.
   */
  free(blocks: readonly number[]): void {
    for (let i = blocks.length - 1; i >= 0; i--) {
      const block = blocks[i] as number;
      const count = this.refCount(block);
      if (count === 0) throw new RangeError(`block ${block} is freed twice`);
      this.refCounts[block] = count - 1;
      if (count === 1) this.pushFree(block);
    }
  }

  /** Checks that the free list holds exactly the blocks without holders. Throws: Error that names the first fault. */
  assertInvariants(): void {
    let length = 0;
    let last = this.numBlocks;
    for (let block = this.next[last] as number; block !== this.numBlocks; block = this.next[block] as number) {
      if (this.refCounts[block] !== 0) throw new Error(`free block ${block} has ${this.refCounts[block]} holders`);
      if (this.previous[block] !== last) throw new Error(`free list is torn at block ${block}`);
      if (++length > this.numBlocks) throw new Error('free list has a loop');
      last = block;
    }
    if (length !== this.numFreeBlocks)
      throw new Error(`free list has ${length} blocks, count says ${this.numFreeBlocks}`);
    let numHeld = 0;
    for (const count of this.refCounts) if (count > 0) numHeld++;
    if (numHeld + length !== this.numBlocks) throw new Error(`${numHeld} held + ${length} free of ${this.numBlocks}`);
  }

  private pushFree(block: number): void {
    const last = this.previous[this.numBlocks] as number;
    this.next[last] = block;
    this.previous[block] = last;
    this.next[block] = this.numBlocks;
    this.previous[this.numBlocks] = block;
    this.numFreeBlocks++;
  }

  private unlinkFree(block: number): void {
    const before = this.previous[block] as number;
    const after = this.next[block] as number;
    this.next[before] = after;
    this.previous[after] = before;
    this.numFreeBlocks--;
  }
}
