/**
 * How much work a model makes: what submits and steps are bounded by.
 *
 * Counts matrix products alone; attention over long contexts comes on top. Next: `decoder.ts`, `memory-plan.ts`.
 */
import type { ModelSpec } from './spec.ts';

/** Weights of the matrices of one layer. Units: elements. */
export function layerWeights(spec: ModelSpec): number {
  const { hidden, heads, kvHeads, headDim, ffn } = spec;
  return hidden * (2 * heads + 2 * kvHeads) * headDim + 3 * hidden * ffn;
}

/** Floating-point operations that one token costs in all layers. */
export function flopsPerToken(spec: ModelSpec): number {
  return 2 * layerWeights(spec) * spec.layers.length;
}
