/** Naive float64 matrix products whose activations are rounded to bytes first. Shapes: x [T, K], w [N, K], result [T, N]. */
import { matmulReference } from './matmul.ts';
import { quantisedValues } from './quantise-rows.ts';

export function matmulOfBytesReference(
  x: Float32Array,
  w: Float32Array,
  rows: number,
  n: number,
  k: number,
  bias?: Float32Array | null,
): Float64Array {
  return matmulReference(Float32Array.from(quantisedValues(x)), w, rows, n, k, bias);
}
