/** Naive float64 norm of q and k over their whole widths. Shapes: qkv [T, columns], q and k first in each row. */
import { rmsNormReference } from './rms-norm.ts';

export function qkNormReference(
  qkv: Float32Array,
  columns: number,
  q: Float32Array,
  k: Float32Array,
  eps: number,
): Float64Array {
  const out = Float64Array.from(qkv);
  for (let row = 0; row < qkv.length; row += columns) {
    out.set(rmsNormReference(qkv.subarray(row, row + q.length), q, eps), row);
    const first = row + q.length;
    out.set(rmsNormReference(qkv.subarray(first, first + k.length), k, eps), first);
  }
  return out;
}
