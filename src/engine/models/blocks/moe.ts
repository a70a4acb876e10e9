/**
 * A mixture of experts: router, choice, the experts' products and their weighted sum, without any read-back.
 *
 * Few tokens take four dispatches (router, choice, gate and up, down with the sum), many take six: pairs are sorted by expert, and summed
 * by an op of its own. An expert that all tokens share takes two more. Next: `ops/moe-*.ts`.
 */
import type { OpContext } from '../../ops/context.ts';
import { adapterOf, recordGatedMatmul, recordMatmul } from '../../ops/matmul.ts';
import { takesBytes } from '../../ops/matmul-dp4a.ts';
import { recordMoeAlign } from '../../ops/moe-align.ts';
import { recordMoeCombine } from '../../ops/moe-combine.ts';
import { recordMoeDown, recordMoeDownCombine, recordMoeGated } from '../../ops/moe-matmul.ts';
import { type MoeShape, moePlanChanges, planMoe } from '../../ops/moe-plan.ts';
import { recordMoeRoute } from '../../ops/moe-route.ts';
import type { Vector } from '../../ops/tensor.ts';
import type { Activations } from '../activations.ts';
import type { ModelSpec } from '../spec.ts';
import type { ModelWeights, MoeWeights } from '../weights.ts';
import { recordNormed } from './norm.ts';

export interface MoeArgs {
  readonly spec: ModelSpec;
  readonly norm: Vector;
  readonly weights: MoeWeights;
  /** `hidden` holds the block's input before its norm, and gets the result added. */
  readonly activations: Activations;
  readonly numRows: number;
}

/** A number of tokens from which the experts' products take another kernel. */
export interface ExpertStep {
  readonly numTokens: number;
  /** Its products are those of subgroup matrices. */
  readonly usesMatrices: boolean;
}

function storageOf(context: OpContext, { gate, down }: MoeWeights): Pick<MoeShape, 'formats' | 'bytes'> {
  const bytes = takesBytes(context, gate) && takesBytes(context, down);
  return { formats: [gate.format, down.format], bytes };
}

/** The steps that together need every kernel that the experts of a model can need. */
export function expertSteps(
  context: OpContext,
  spec: ModelSpec,
  { layers }: ModelWeights,
  maxTokens: number,
): ExpertStep[] {
  const { moe } = spec;
  if (!moe) return [];
  const steps = new Map<number, ExpertStep>();
  const known = new Set<string>();
  for (const { ffn } of layers) {
    if (ffn.kind !== 'moe') continue;
    const storage = storageOf(context, ffn);
    const key = storage.formats.join();
    if (known.has(key)) continue;
    known.add(key);
    for (const { tokens, plan } of moePlanChanges({ ...moe, ...storage }, maxTokens, adapterOf(context))) {
      const usesMatrices = plan.kind === 'matrix' || (steps.get(tokens)?.usesMatrices ?? false);
      steps.set(tokens, { numTokens: tokens, usesMatrices });
    }
  }
  return [...steps.values()].toSorted((a, b) => a.numTokens - b.numTokens);
}

/** Records hidden += experts(norm(hidden)). Mutates: activations. */
export function recordMoe(context: OpContext, { spec, norm, weights, activations, numRows }: MoeArgs): void {
  const { hidden, moe } = activations;
  if (!spec.moe || !moe) throw new Error('a mixture of experts without a spec');
  const { logits, routes, lists, gated, rows } = moe;
  const { activation } = spec;
  const numPairs = numRows * routes.topK;
  const shape = { numPairs, numExperts: routes.numExperts, ...storageOf(context, weights) };
  const plan = planMoe(shape, adapterOf(context));
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
