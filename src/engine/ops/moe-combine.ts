/**
 * Adds up what a token's experts gave, weighted and in a fixed order, so that the same request always gives the same bits.
 * Shader: moe-combine.wgsl.
 */
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import type { MoeRoutes } from './moe-route.ts';
import type { Tensor } from './tensor.ts';

const moeCombineParams = struct('MoeCombineParams', { stride: 'u32', top_k: 'u32' });

const WG = 64;

export interface MoeCombineArgs {
  readonly routes: MoeRoutes;
  /** One row per pair. Shapes: [T topK, E]. */
  readonly rows: Tensor;
  /** What the expert that all share gave; given with `routes.hasShared`. Shapes: [T, E]. */
  readonly shared: Tensor | null;
  /** Shapes: [T, E]. */
  readonly y: Tensor;
  readonly numTokens: number;
}

/** Records y[t] += sum of weight * row over the token's pairs. */
export function recordMoeCombine(context: OpContext, args: MoeCombineArgs): void {
  const { routes, rows, shared, y } = args;
  if (rows.stride !== y.stride || (shared && shared.stride !== y.stride)) throw new Error('moe combine: shapes differ');
  if (Boolean(shared) !== routes.hasShared) throw new Error('moe combine: a shared expert and its weight go together');
  const stride = y.stride / 4;
  context.recorder.dispatch(
    variant(context, 'moe-combine.wgsl', { WG, SHARED: shared !== null }, moeCombineParams),
    { rows: rows.buffer, weights: routes.weights, y: y.buffer, ...(shared && { shared_rows: shared.buffer }) },
    { stride, top_k: routes.topK },
    Math.ceil(stride / WG),
    args.numTokens,
  );
}
