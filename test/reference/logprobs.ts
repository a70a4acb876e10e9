/** Naive float64 log-probabilities of one row of raw logits. */
export interface LogprobsReference {
  readonly logSum: number;
  /** All tokens, most probable first, ties by lower id. */
  readonly order: readonly number[];
  readonly logprobs: Float64Array;
}

export function logprobsReference(logits: ArrayLike<number>): LogprobsReference {
  const row = Float64Array.from(logits);
  const peak = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const logSum = peak + Math.log(row.reduce((sum, x) => sum + Math.exp(x - peak), 0));
  const order = Array.from(row, (_, i) => i).sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0) || a - b);
  return { logSum, order, logprobs: row.map((x) => x - logSum) };
}
