/**
 * Moves blocks of the KV cache to host memory and back, in the order of the steps.
 *
 * Owns the saved bytes, for as long as their sequences live. What moves and when is the plan's to say. Next: `scheduler-swap.ts` (who
 * counts), `runner.ts` (who calls it), `ops/kv-cache.ts` (where a block lies).
 */
import type { GpuBuffer } from './gpu/buffer.ts';
import type { CopyRange, GpuDevice } from './gpu/device.ts';
import { type CacheShape, cacheRegions, type LayerCache } from './ops/kv-cache.ts';
import type { BlockMove, StepPlan } from './plan.ts';
import type { Sequence } from './sequence.ts';

/** The blocks of sequences that do not run. */
export class SwapStore {
  private readonly saved = new WeakMap<Sequence, Uint8Array>();
  /** Every place where blocks lie side by side. */
  private readonly regions: readonly {
    readonly buffer: GpuBuffer;
    readonly offset: number;
    readonly blockBytes: number;
  }[];

  constructor(
    private readonly device: GpuDevice,
    shape: CacheShape,
    caches: readonly LayerCache[],
  ) {
    const parts = cacheRegions(shape);
    this.regions = caches.flatMap(({ k, v }) => [k, v].flatMap((buffer) => parts.map((part) => ({ buffer, ...part }))));
  }

  /** Queues what a plan saves and restores, before its step. The result waits until what is saved has arrived; null where nothing is. */
  move({ toSave, toRestore }: StepPlan): (() => Promise<void>) | null {
    for (const move of toRestore) this.restore(move);
    if (toSave.length === 0) return null;
    const pending = toSave.map((move) => ({
      sequence: move.sequence,
      bytes: this.device.copyOut(this.rangesOf(move)),
    }));
    return async () => {
      for (const { sequence, bytes } of pending) this.saved.set(sequence, await bytes.read());
    };
  }

  private restore(move: BlockMove): void {
    const bytes = this.saved.get(move.sequence);
    if (!bytes) throw new Error(`nothing is saved of ${move.sequence.id}`);
    this.saved.delete(move.sequence);
    let at = 0;
    for (const { buffer, offset, bytes: length } of this.rangesOf(move)) {
      this.device.write(buffer, offset, bytes.subarray(at, at + length));
      at += length;
    }
  }

  /** The bytes of blocks, region by region; blocks that follow each other are one range. */
  private rangesOf({ blocks }: BlockMove): CopyRange[] {
    const ranges: CopyRange[] = [];
    for (const { buffer, offset, blockBytes } of this.regions) {
      for (let i = 0; i < blocks.length; ) {
        const first = blocks[i] as number;
        let count = 1;
        while (blocks[i + count] === first + count) count++;
        ranges.push({ buffer, offset: offset + first * blockBytes, bytes: count * blockBytes });
        i += count;
      }
    }
    return ranges;
  }
}
