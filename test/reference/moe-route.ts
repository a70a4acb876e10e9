/** Naive float64 choice of experts. Shapes: logits [T, experts (+ 1)], ids [T, topK], weights [T, topK (+ 1)]. */

export interface RouteCase {
  readonly numTokens: number;
  readonly numExperts: number;
  readonly topK: number;
  readonly router: 'softmax' | 'sigmoid';
  readonly renormalize: boolean;
  readonly scale: number;
  /** The last logit of a row is the shared expert's. */
  readonly hasShared: boolean;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

export function moeRouteReference(
  logits: ArrayLike<number>,
  what: RouteCase,
): { ids: Uint32Array; weights: Float64Array } {
  const { numTokens, numExperts, topK, router, renormalize, scale, hasShared } = what;
  const ids = new Uint32Array(numTokens * topK);
  const weights: number[] = [];
  const width = numExperts + (hasShared ? 1 : 0);
  for (let t = 0; t < numTokens; t++) {
    const row = Array.from({ length: numExperts }, (_, e) => logits[t * width + e] ?? Number.NaN);
    const top = Math.max(...row);
    const total = row.reduce((sum, x) => sum + Math.exp(x - top), 0);
    const shares = row.map((x) => (router === 'softmax' ? Math.exp(x - top) / total : sigmoid(x)));
    const order = row.map((_, e) => e).sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0) || a - b);
    const chosen = order.slice(0, topK);
    const sum = renormalize ? chosen.reduce((all, e) => all + (shares[e] ?? 0), 0) : 1;
    ids.set(chosen, t * topK);
    for (const e of chosen) weights.push(((shares[e] ?? 0) / sum) * scale);
    if (hasShared) weights.push(sigmoid(logits[t * width + numExperts] ?? Number.NaN));
  }
  return { ids, weights: Float64Array.from(weights) };
}
