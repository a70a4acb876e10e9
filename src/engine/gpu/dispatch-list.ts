/**
 * Dispatches as flat arrays: what a step is before it is encoded, and what is kept of it to be encoded again.
 *
 * Owns the arrays, which only grow. It knows neither params nor passes. Next: `recorder.ts` (fills and encodes lists), `binding.ts` (how
 * a list becomes commands).
 */
import type { Kernel } from './kernel.ts';

/** Offset of a dispatch without parameters. */
export const NO_PARAMS = 0xffffffff;

/** Dispatches `from` to `to - 1` of a list. */
export interface Stretch {
  readonly list: DispatchList;
  readonly from: number;
  readonly to: number;
}

/** Dispatches 0 to `length - 1`, in their order. */
export class DispatchList {
  length = 0;
  readonly kernels: Kernel[] = [];
  readonly groups: GPUBindGroup[] = [];
  /** Of each dispatch's parameters in the arena, or {@link NO_PARAMS}. Units: bytes. Shapes: [length]. */
  offsets = new Uint32Array(64);
  /** Workgroups in x, y and z. Shapes: [length][3]. */
  grids = new Uint32Array(3 * 64);

  add(kernel: Kernel, group: GPUBindGroup, offset: number, x: number, y: number, z: number): void {
    const at = this.length++;
    if (at === this.offsets.length) this.grow();
    this.kernels[at] = kernel;
    this.groups[at] = group;
    this.offsets[at] = offset;
    this.grids[3 * at] = x;
    this.grids[3 * at + 1] = y;
    this.grids[3 * at + 2] = z;
  }

  /** Forgets the dispatches and keeps the room. */
  clear(): void {
    this.length = 0;
  }

  private grow(): void {
    const { offsets, grids } = this;
    this.offsets = new Uint32Array(2 * offsets.length);
    this.offsets.set(offsets);
    this.grids = new Uint32Array(2 * grids.length);
    this.grids.set(grids);
  }
}
