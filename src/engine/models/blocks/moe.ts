/**
 * A mixture of experts: router, choice, the experts' products and their weighted sum, without any read-back.
 *
 * Few tokens take four dispatches (router, choice, gate and up, down with the sum), many take six: pairs are sorted by expert, and summed
 * by an op of its own. An expert that all tokens share takes two more. Next: `ops/moe-*.ts`.
 */
import type { OpContext } from '../../ops/context.ts';
import { recordGatedMatmul, recordMatmul } from '../../ops/matmul.ts';
import { recordMoeAlign } from '../../ops/moe-align.ts';
import { recordMoeCombine } from '../../ops/moe-combine.ts';
import { planMoe, recordMoeDown, recordMoeDownCombine, recordMoeGated } from '../../ops/moe-matmul.ts';
import { recordMoeRoute } from '../../ops/moe-route.ts';
import type { Vector } from '../../ops/tensor.ts';
import type { Activations } from '../activations.ts';
import type { ModelSpec } from '../spec.ts';
import type { MoeWeights } from '../weights.ts';
import { recordNormed } from './norm.ts';

export interface MoeArgs {
  readonly spec: ModelSpec;
  readonly norm: Vector;
  readonly weights: MoeWeights;
  /** `hidden` holds the block's input before its norm, and gets the result added. */
  readonly activations: Activations;
  readonly numRows: number;
}

/** Records hidden += experts(norm(hidden)). Mutates: activations. */
export function recordMoe(context: OpContext, { spec, norm, weights, activations, numRows }: MoeArgs): void {
  const { hidden, moe } = activations;
  if (!spec.moe || !moe) throw new Error('a mixture of experts without a spec');
  const { logits, routes, lists, gated, rows } = moe;
  const { activation } = spec;
  const numPairs = numRows * routes.topK;
  const { maxComputeWorkgroupStorageSize } = context.device.limits;
  const plan = planMoe(numPairs, routes.numExperts, context.software, maxComputeWorkgroupStorageSize);
  const isSorted = plan.tileRows > 1;
  // Router, experts and shared expert read the same rows: either all of them take the norm along, or none.
  const next = isSorted ? null : weights.router;
  const input = recordNormed(context, { spec, activations, weight: norm, next, numRows, gated: true });
  recordMatmul(context, { ...input, weight: weights.router, y: logits, numRows });
  recordMoeRoute(context, {
    logits,
    routes,
    numTokens: numRows,
    router: spec.moe.router,
    renormalize: spec.moe.renormalize,
    scale: spec.moe.routedScale,
  });
  if (isSorted) recordMoeAlign(context, routes, lists, numPairs, plan.tileRows);
  const common = { plan, routes, lists, numTokens: numRows };
  recordMoeGated(context, { ...common, ...input, gate: weights.gate, up: weights.up, activation, y: gated });
  const shared = weights.shared && moe.shared;
  if (weights.shared && shared) {
    const { gate, up, down } = weights.shared;
    recordGatedMatmul(context, { ...input, gate, up, activation, y: shared.gated, numRows });
    recordMatmul(context, { x: shared.gated, weight: down, y: shared.rows, numRows });
  }
  const sharedRows = shared?.rows ?? null;
  if (isSorted) {
    recordMoeDown(context, { ...common, x: gated, weight: weights.down, y: rows });
    recordMoeCombine(context, { routes, rows, shared: sharedRows, y: hidden, numTokens: numRows });
  } else {
    recordMoeDownCombine(context, { ...common, x: gated, weight: weights.down, shared: sharedRows, y: hidden });
  }
}
