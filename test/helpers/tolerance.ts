/**
 * The one table of tolerances, with a reason per row, and the comparison that uses it.
 *
 * A result passes when |got - want| <= absolute + relative * scale, where scale is the largest magnitude that went into
 * the sum (given by the caller, or |want|). NaN and infinities must match exactly.
 */

export const TOLERANCE = {
  /** Copies and gathers move bits. */
  exact: { absolute: 0, relative: 0 },
  /** f32 products summed in another order than the reference: about sqrt(K) roundings of 2^-24 each. */
  matmul: { absolute: 1e-6, relative: 3e-6 },
  /** The same with both operands rounded to f16's 11 bits, up or down as WGSL lets a driver: sqrt(K) errors of up to 2^-10 of a product each. */
  matmulF16: { absolute: 1e-6, relative: 5e-4 },
  /** A product of two such sums, one of them through an activation. */
  gatedF16: { absolute: 2e-6, relative: 1e-3 },
  /** One sum of squares and an inverse square root, which WGSL allows 2 ulp. */
  norm: { absolute: 1e-6, relative: 2e-6 },
  /** exp and tanh may be off by 2^-11 relative at the edges of their range; sums of products besides. */
  activation: { absolute: 2e-6, relative: 1e-5 },
  /** Rotation: table values are f32 roundings of f64, two products and a sum. */
  rope: { absolute: 2e-6, relative: 2e-6 },
  /** Values that went through f16 storage: half a unit in the last of 11 bits. */
  f16Storage: { absolute: 1e-7, relative: 5e-4 },
  /** As above with bf16: 8 bits. */
  bf16Storage: { absolute: 1e-7, relative: 4e-3 },
  /** Half a step of the row's largest magnitude / 127, relative to that magnitude. */
  int8Storage: { absolute: 1e-7, relative: 4e-3 },
  /** Half a unit in the last of 4 bits, and half the smallest subnormal, 2^-9. */
  e4m3Storage: { absolute: 1e-3, relative: 0.0626 },
  /** Half a unit in the last of 3 bits, and half the smallest subnormal, 2^-16. */
  e5m2Storage: { absolute: 1e-5, relative: 0.126 },
  /** Softmax-weighted sums in f32 with exp's error, over contexts of thousands of keys. */
  attention: { absolute: 5e-6, relative: 2e-5 },
  /** The same with queries, keys, values and weights in f16's 11 bits: a score is off by some 2^-11 of its terms, and so is a weight. */
  attentionF16: { absolute: 1e-3, relative: 2e-3 },
  /** Logarithms of probabilities: log and exp of WGSL (3 ulp or 2^-21 absolute). */
  logprob: { absolute: 2e-5, relative: 2e-6 },
  /** Whole models, f32 KV cache, against transformers in f32: errors of all layers add up. */
  modelLogits: { absolute: 5e-4, relative: 1e-4 },
  /** The same with the operands of matrix products rounded to f16, relative to the largest logit. */
  modelLogitsF16: { absolute: 1e-3, relative: 5e-3 },
  /** As modelLogits with the KV cache rounded to f16. */
  modelLogitsF16Kv: { absolute: 1e-2, relative: 5e-3 },
  /** Activations rounded to 1/254 of the largest of 32, in every product of a tiny model, whose logits reach 5. */
  modelLogitsBytes: { absolute: 0.4, relative: 0 },
  /** The same where a token that is torn between two experts may go to the other one. */
  modelLogitsBytesMixture: { absolute: 0.8, relative: 0 },
} as const;

export type ToleranceName = keyof typeof TOLERANCE;

/** Throws: with the worst element when one lies outside the tolerance. `scale` widens the relative part. */
export function expectClose(
  name: ToleranceName,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  what: string,
  scale = 0,
): void {
  if (got.length !== want.length) throw new Error(`${what}: ${got.length} values, expected ${want.length}`);
  const { absolute, relative } = TOLERANCE[name];
  let worst = 0;
  let worstAt = -1;
  for (let i = 0; i < want.length; i++) {
    const g = got[i] ?? Number.NaN;
    const w = want[i] ?? Number.NaN;
    if (Number.isNaN(w) !== Number.isNaN(g) || (!Number.isFinite(w) && g !== w && !Number.isNaN(w))) {
      throw new Error(`${what}: element ${i} is ${g}, expected ${w}`);
    }
    if (!Number.isFinite(w)) continue;
    const excess = Math.abs(g - w) / (absolute + relative * Math.max(scale, Math.abs(w)) || Number.MIN_VALUE);
    if (!(excess <= worst) && g !== w) {
      worst = Number.isNaN(excess) ? Number.POSITIVE_INFINITY : excess;
      worstAt = i;
    }
  }
  if (worst > 1) {
    throw new Error(
      `${what}: element ${worstAt} is ${got[worstAt]}, expected ${want[worstAt]} (${worst.toFixed(1)} times the tolerance '${name}')`,
    );
  }
}
