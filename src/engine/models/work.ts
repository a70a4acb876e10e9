/**
 * How much work a model makes and how much room it needs while it does: what submits and steps are bounded by.
 *
 * Counts matrix products alone; attention over long contexts comes on top. Next: `decoder.ts`, `memory-plan.ts`.
 */
import type { LayerSpec, ModelSpec } from './spec.ts';

/** Weights that a token meets in the feed-forward part of a layer. Units: elements. */
function ffnWeights({ hidden, ffn, moe }: ModelSpec, layer: LayerSpec): number {
  if (layer.ffn === 'dense' || !moe) return 3 * hidden * ffn;
  return hidden * (moe.numExperts + 3 * moe.topK * moe.ffn + 3 * (moe.sharedFfn ?? 0));
}

function weightsOf(spec: ModelSpec, layer: LayerSpec): number {
  const { hidden, heads, kvHeads, headDim } = spec;
  return hidden * (2 * heads + 2 * kvHeads) * headDim + ffnWeights(spec, layer);
}

/** Weights that a token meets in the matrices of one layer, of the one with most. Units: elements. */
export function layerWeights(spec: ModelSpec): number {
  return spec.layers.reduce((most, layer) => Math.max(most, weightsOf(spec, layer)), 0);
}

/** Floating-point operations that one token costs in all layers. */
export function flopsPerToken(spec: ModelSpec): number {
  return 2 * spec.layers.reduce((sum, layer) => sum + weightsOf(spec, layer), 0);
}

/** Rows that products of one token take, by their widths: what may be packed or quantised for one product at a time. Units: elements. */
export function productRows(spec: ModelSpec): { rows: number; columns: number }[] {
  const { hidden, ffn, heads, headDim, moe } = spec;
  const shapes = [{ rows: 1, columns: Math.max(hidden, ffn, heads * headDim, moe?.sharedFfn ?? 0) }];
  if (moe) shapes.push({ rows: moe.topK, columns: moe.ffn });
  return shapes;
}

/** Rows of all matrices that may be packed with a number of their own for each. */
export function matrixRows(spec: ModelSpec): number {
  const { hidden, ffn, heads, kvHeads, headDim, moe } = spec;
  const attention = (heads + 2 * kvHeads) * headDim + hidden;
  const dense = 2 * ffn + hidden;
  const experts = moe ? moe.numExperts * (2 * moe.ffn + hidden + 1) + 2 * (moe.sharedFfn ?? 0) + hidden : 0;
  return spec.layers.reduce((sum, layer) => sum + attention + (layer.ffn === 'dense' ? dense : experts), 0);
}

/** The widest row of activations that a token has, and what all of a token's rows take in a forward pass. Units: elements. */
export function activationRows(spec: ModelSpec): { widest: number; total: number } {
  const { hidden, ffn, heads, kvHeads, headDim, moe } = spec;
  const padding = 8;
  const widest = Math.max(ffn, hidden, (heads + 2 * kvHeads) * headDim) + padding;
  if (!moe) return { widest, total: 4 * widest };
  // Buffers of a mixture have one row for each expert of a token.
  const perToken = [moe.topK * (moe.ffn + padding), moe.topK * (hidden + padding)];
  const shared = moe.sharedFfn === null ? 0 : moe.sharedFfn + hidden + 2 * padding;
  const sum = perToken.reduce((a, b) => a + b, moe.numExperts + 4 * moe.topK + padding + shared);
  return { widest: Math.max(widest, (moe.sharedFfn ?? 0) + padding, ...perToken), total: 4 * widest + sum };
}
