/** Naive float64 product of each pair with its own expert's matrix. Shapes: x [.., K], w [X N, K], result [P, N]. */

export function moeMatmulReference(
  x: Float32Array,
  w: Float32Array,
  ids: ArrayLike<number>,
  xDivisor: number,
  n: number,
  k: number,
): Float64Array {
  const y = new Float64Array(ids.length * n);
  for (let pair = 0; pair < ids.length; pair++) {
    const row = Math.floor(pair / xDivisor) * k;
    for (let o = 0; o < n; o++) {
      const from = ((ids[pair] ?? 0) * n + o) * k;
      let sum = 0;
      for (let i = 0; i < k; i++) sum += (x[row + i] ?? 0) * (w[from + i] ?? 0);
      y[pair * n + o] = sum;
    }
  }
  return y;
}
