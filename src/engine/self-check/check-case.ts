/**
 * One known computation: how it is recorded through an op, what float64 gives, and how far a kernel may be off.
 *
 * Owns the comparison. Next: `products.ts`, `attention.ts` (the computations), `self-check.ts` (who runs them).
 */
import type { Capability } from '../gpu/capabilities.ts';
import type { OpContext } from '../ops/context.ts';
import type { Tensor } from '../ops/tensor.ts';

export interface CheckCase {
  /** To follow `computes ... wrong`. */
  readonly name: string;
  /** What its kernels have variants with. */
  readonly uses: readonly Capability[];
  /** Records it into `out`, whatever that holds. */
  record(context: OpContext): void;
  readonly out: Tensor;
  /** Shapes: [out.rows, out.columns], as is `scale`: what an error is relative to. */
  readonly want: Float64Array;
  readonly scale: Float64Array;
  readonly tolerance: number;
}

/** The largest error, as a share of what it is relative to; NaN where a result is no finite number. Shapes: got [rows, stride]. */
export function largestError({ out, want, scale }: CheckCase, got: Float32Array): number {
  let largest = 0;
  for (let row = 0; row < out.rows; row++) {
    for (let column = 0; column < out.columns; column++) {
      const at = row * out.columns + column;
      const value = got[row * out.stride + column] ?? Number.NaN;
      if (!Number.isFinite(value)) return Number.NaN;
      largest = Math.max(largest, Math.abs(value - (want[at] ?? 0)) / (scale[at] || 1));
    }
  }
  return largest;
}
