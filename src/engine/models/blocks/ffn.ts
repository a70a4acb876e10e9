/**
 * The second half of a layer: norm and feed-forward, dense or a mixture of experts, added to the residual stream.
 *
 * Owns the order of ops; a layer's weights say which of the two it is. Next: `moe.ts` (the mixture), `../decoder.ts` (who calls it).
 */
import type { OpContext } from '../../ops/context.ts';
import { recordGatedMatmul, recordMatmul } from '../../ops/matmul.ts';
import type { Vector } from '../../ops/tensor.ts';
import type { Activations } from '../activations.ts';
import type { ModelSpec } from '../spec.ts';
import type { DenseFfnWeights, MoeWeights } from '../weights.ts';
import { recordMoe } from './moe.ts';
import { recordNormed } from './norm.ts';

export interface FfnArgs {
  readonly spec: ModelSpec;
  readonly norm: Vector;
  readonly weights: DenseFfnWeights | MoeWeights;
  readonly activations: Activations;
  readonly numRows: number;
}

/** Records hidden += ffn(norm(hidden)). Mutates: activations. */
export function recordFfn(context: OpContext, { spec, norm, weights, activations, numRows }: FfnArgs): void {
  const { hidden, gated } = activations;
  if (weights.kind === 'moe') {
    recordMoe(context, { spec, norm, weights, activations, numRows });
    return;
  }
  recordGatedMatmul(context, {
    ...recordNormed(context, { spec, activations, weight: norm, next: weights.gate, numRows, gated: true }),
    gate: weights.gate,
    up: weights.up,
    gateBias: weights.gateBias,
    upBias: weights.upBias,
    activation: spec.activation,
    y: gated,
    numRows,
  });
  recordMatmul(context, {
    x: gated,
    weight: weights.down,
    bias: weights.downBias,
    y: hidden,
    numRows,
    accumulate: true,
  });
}
