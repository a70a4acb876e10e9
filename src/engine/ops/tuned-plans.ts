/**
 * Sizes of kernels that were measured instead of guessed: the little that ops must know of them.
 *
 * Owns the interface alone. Next: `../tune/autotune.ts` (who measures), `matmul.ts` (who asks).
 */

/** Kernels whose sizes can be measured. */
export type TunedKind = 'gemv' | 'gated-gemv';

/** Sizes of the matrix-vector kernel. */
export interface GemvSizes {
  /** Invocations of a workgroup. */
  readonly wg: number;
  /** Rows of the weights, that is outputs, of a workgroup. */
  readonly rows: number;
  /** Steps along k whose weights are loaded before the first is used: 1, 2 or 4. */
  readonly unroll: number;
  /** Chunks of weights in one load: 1, or with quantised formats what 16 bytes hold. */
  readonly load: number;
}

export interface TunedPlans {
  /**
   * Sizes for a matrix [n, k] of a stored format and a kernel that takes `rows` rows of x at a time; null = none were measured.
   * Always the same for one shape: who asks may remember it.
   */
  lookup(kind: TunedKind, format: string, n: number, k: number, rows: number): GemvSizes | null;
}
