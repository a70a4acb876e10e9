/**
 * Which full blocks hold which tokens, so that sequences with a common beginning share them.
 *
 * Owns the index from contents to blocks; who holds a block is the pool's business. Keys are the tokens themselves, chained
 * by the identity of the block before, not hashes of them: two prompts can never be taken for each other.
 * A free block stays findable until the pool hands it out again, so the pool's order of reuse is the order of eviction.
 * Next: `block-pool.ts`, `scheduler.ts` (the only caller).
 */
import type { Sequence } from './sequence.ts';

/** One full block in the index. */
interface CachedBlock {
  readonly block: number;
  readonly key: string;
  /** Unique for ever: blocks that follow this one name it in their keys. */
  readonly identity: number;
}

/** The beginning of a sequence that is in the cache. */
export interface PrefixMatch {
  readonly blocks: readonly number[];
  /** Identity of the last block, or of the start. */
  readonly tail: string;
}

/** An index of full blocks for one pool. */
export class PrefixCache {
  private readonly byKey = new Map<string, CachedBlock>();
  private readonly byBlock = new Map<number, CachedBlock>();
  private nextIdentity = 0;
  /** Prompt tokens looked up, and found. Counters only grow. */
  numQueriedTokens = 0;
  numHitTokens = 0;

  constructor(private readonly blockSize: number) {}

  /** Number of blocks that can be found. */
  get size(): number {
    return this.byKey.size;
  }

  /** The longest cached beginning, without tokens whose logits are needed: the newest one's at least. */
  match(sequence: Sequence): PrefixMatch {
    const blocks: number[] = [];
    let tail = startOf(sequence);
    const most = Math.floor(sequence.numReusableTokens / this.blockSize);
    while (blocks.length < most) {
      const found = this.byKey.get(this.keyOf(sequence, blocks.length, tail));
      if (!found) break;
      blocks.push(found.block);
      tail = String(found.identity);
    }
    return { blocks, tail };
  }

  /** Counts a lookup that led to an admission. */
  countAdmission(sequence: Sequence, numBlocks: number): void {
    this.numQueriedTokens += sequence.numTokens;
    this.numHitTokens += numBlocks * this.blockSize;
  }

  /**
   * Makes the blocks of a sequence that have become full findable, as far as their tokens are known.
   * Mutates: the index, and how far the sequence is indexed.
   */
  index(sequence: Sequence): void {
    const numFull = Math.floor(Math.min(sequence.numComputedTokens, sequence.numTokens) / this.blockSize);
    while (sequence.numIndexedBlocks < numFull) {
      const at = sequence.numIndexedBlocks;
      const key = this.keyOf(sequence, at, sequence.prefixTail || startOf(sequence));
      let entry = this.byKey.get(key);
      if (!entry) {
        entry = { block: sequence.blockTable[at] as number, key, identity: this.nextIdentity++ };
        this.byKey.set(key, entry);
        this.byBlock.set(entry.block, entry);
      }
      sequence.prefixTail = String(entry.identity);
      sequence.numIndexedBlocks = at + 1;
    }
  }

  /** Forgets what these blocks held, because they are about to be written. */
  evict(blocks: readonly number[]): void {
    for (const block of blocks) {
      const entry = this.byBlock.get(block);
      if (!entry) continue;
      this.byBlock.delete(block);
      this.byKey.delete(entry.key);
    }
  }

  private keyOf(sequence: Sequence, index: number, tail: string): string {
    let key = tail;
    const first = index * this.blockSize;
    for (let i = first; i < first + this.blockSize; i++) key += `,${sequence.tokenAt(i)}`;
    return key;
  }
}

/** Sequences share only within a salt. */
function startOf(sequence: Sequence): string {
  return `@${sequence.cacheSalt}`;
}
