/** Naive float64 matrix products. Shapes: x [T, K], w [N, K], result [T, N]. */

export function matmulReference(
  x: Float32Array,
  w: Float32Array,
  rows: number,
  n: number,
  k: number,
  bias?: Float32Array | null,
): Float64Array {
  const y = new Float64Array(rows * n);
  for (let t = 0; t < rows; t++) {
    for (let o = 0; o < n; o++) {
      let sum = bias?.[o] ?? 0;
      for (let i = 0; i < k; i++) sum += (x[t * k + i] ?? 0) * (w[o * k + i] ?? 0);
      y[t * n + o] = sum;
    }
  }
  return y;
}

export function activationReference(kind: 'silu' | 'gelu-tanh' | 'gelu', x: number): number {
  if (kind === 'silu') return x / (1 + Math.exp(-x));
  if (kind === 'gelu-tanh') return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

/** Error function by its series (small) and continued fraction (large). */
function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  let sum = 0;
  let term = a;
  for (let n = 0; n < 200; n++) {
    sum += term / (2 * n + 1);
    term *= (-a * a) / (n + 1);
  }
  return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
}
