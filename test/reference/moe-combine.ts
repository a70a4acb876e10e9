/** Naive float64 weighted sum over a token's experts. Shapes: rows [T topK, E], weights [T, topK (+ 1)], shared and y [T, E]. */

export function moeCombineReference(
  y: ArrayLike<number>,
  rows: ArrayLike<number>,
  weights: ArrayLike<number>,
  topK: number,
  columns: number,
  shared: ArrayLike<number> | null,
): Float64Array {
  const width = topK + (shared ? 1 : 0);
  return Float64Array.from({ length: y.length }, (_, at) => {
    const token = Math.floor(at / columns);
    let sum = y[at] ?? 0;
    for (let j = 0; j < topK; j++) {
      sum += (weights[token * width + j] ?? 0) * (rows[(token * topK + j) * columns + (at % columns)] ?? 0);
    }
    return sum + (shared ? (weights[token * width + topK] ?? 0) * (shared[at] ?? 0) : 0);
  });
}
