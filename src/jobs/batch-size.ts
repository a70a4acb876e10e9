/**
 * The growing sizes of streamed batches: 1, 3, 9, 27, 50, 50 with the defaults.
 *
 * Source: the size rule of RunPod's vLLM worker. A fractional factor gives fractional sizes; a batch is full when its count reaches one.
 */
import type { BatchGrowth } from './job-settings.ts';

/** Counts what is in the current batch and says when it is full. */
export class BatchSize {
  private size: number;
  private count = 0;
  private readonly grows: boolean;

  constructor(private readonly growth: BatchGrowth) {
    const { max, min, growthFactor } = growth;
    this.grows = growthFactor > 1 && min >= 1 && max > min;
    this.size = this.grows ? min : max;
  }

  /** Adds to the batch. True when it is full: the caller sends it and the next, larger one begins. */
  add(count: number): boolean {
    this.count += count;
    if (this.count < this.size) return false;
    this.count = 0;
    if (this.grows) this.size = Math.min(this.size * this.growth.growthFactor, this.growth.max);
    return true;
  }
}
