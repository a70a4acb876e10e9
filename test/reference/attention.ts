/** Naive float64 attention of one query over contiguous keys and values, all scores at once. */

export interface AttentionReference {
  /** Shapes: [D]. */
  readonly query: ArrayLike<number>;
  readonly position: number;
  readonly key: (j: number) => ArrayLike<number>;
  readonly value: (j: number) => ArrayLike<number>;
  readonly scale: number;
  /** 0 = off. */
  readonly window: number;
  /** 0 = off. */
  readonly softcap: number;
  /** Added to a score for each position that the key is after the query. 0 = off. */
  readonly slope: number;
  /** A score that joins the weights without a value; null = none. */
  readonly sink: number | null;
}

/** Shapes: [D]. */
export function attentionReference(of: AttentionReference): Float64Array {
  const { query, position, scale, window, softcap, slope, sink } = of;
  const first = window > 0 ? Math.max(0, position - window + 1) : 0;
  const scores: number[] = [];
  for (let j = first; j <= position; j++) {
    const key = of.key(j);
    let dot = 0;
    for (let d = 0; d < query.length; d++) dot += (query[d] ?? 0) * (key[d] ?? 0);
    const score = softcap > 0 ? softcap * Math.tanh((dot * scale) / softcap) : dot * scale;
    scores.push(score + slope * (j - position));
  }
  const highest = Math.max(...scores, sink ?? Number.NEGATIVE_INFINITY);
  const weights = scores.map((score) => Math.exp(score - highest));
  const total = weights.reduce((sum, weight) => sum + weight, sink === null ? 0 : Math.exp(sink - highest));
  const out = new Float64Array(query.length);
  weights.forEach((weight, i) => {
    const value = of.value(first + i);
    for (let d = 0; d < out.length; d++) out[d] = (out[d] ?? 0) + (weight / total) * (value[d] ?? 0);
  });
  return out;
}
