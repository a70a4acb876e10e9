/** Naive float64 RMS normalisation of one row. */
export function rmsNormReference(x: ArrayLike<number>, weight: ArrayLike<number>, eps: number): Float64Array {
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += (x[i] ?? 0) ** 2;
  const scale = 1 / Math.sqrt(squares / x.length + eps);
  return Float64Array.from({ length: x.length }, (_, i) => (x[i] ?? 0) * scale * (weight[i] ?? 0));
}
