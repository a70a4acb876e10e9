/**
 * Chooses each token's experts from the router's logits, on the GPU: nothing is read back.
 *
 * Owns the buffers of the choice, which all later ops of a mixture of experts read. Shader: moe-route.wgsl. Next: `moe-align.ts`.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import type { Tensor } from './tensor.ts';

const moeRouteParams = struct('MoeRouteParams', { experts: 'u32', stride: 'u32', top_k: 'u32', scale: 'f32' });

/** What the kernels have room for. */
export const MAX_EXPERTS = 512;
export const MAX_TOP_K = 16;

/** Which experts a step's tokens go to. A pair is a token's choice of one expert; pair p belongs to token p / topK. */
export interface MoeRoutes {
  /** Shapes: [T, topK] u32. */
  readonly ids: GpuBuffer;
  /** Shapes: [T, topK] f32, and one column more with `hasShared`. */
  readonly weights: GpuBuffer;
  readonly numExperts: number;
  readonly topK: number;
  /** All tokens also go through one expert, by a weight of its own. */
  readonly hasShared: boolean;
}

export interface MoeRouteArgs {
  /** Shapes: [T, numExperts], and one column more with `hasShared`. */
  readonly logits: Tensor;
  readonly routes: MoeRoutes;
  readonly numTokens: number;
  /** How a logit becomes a share. */
  readonly router: 'softmax' | 'sigmoid';
  /** Let the shares of the chosen add up to 1. */
  readonly renormalize: boolean;
  /** Multiplier on the shares. */
  readonly scale: number;
}

/** Makes the buffers of a choice. Throws: Error beyond what the kernels have room for. */
export function allocateMoeRoutes(
  device: GpuDevice,
  maxTokens: number,
  { numExperts, topK, hasShared }: Pick<MoeRoutes, 'numExperts' | 'topK' | 'hasShared'>,
): MoeRoutes {
  if (numExperts > MAX_EXPERTS || topK > MAX_TOP_K || topK > numExperts) {
    throw new Error(`${topK} of ${numExperts} experts; at most ${MAX_TOP_K} of ${MAX_EXPERTS}`);
  }
  return {
    ...{ numExperts, topK, hasShared },
    ids: device.createBuffer('expert ids', maxTokens * topK * 4),
    weights: device.createBuffer('expert weights', maxTokens * (topK + (hasShared ? 1 : 0)) * 4),
  };
}

/** Records the choice: the highest logits, of equal ones the lower ids. Mutates: routes. */
export function recordMoeRoute(context: OpContext, args: MoeRouteArgs): void {
  const { logits, routes } = args;
  if (logits.columns !== routes.numExperts + (routes.hasShared ? 1 : 0)) throw new Error('moe route: shapes differ');
  const params = {
    WG: context.software ? MAX_TOP_K : 64,
    SUBGROUPS: context.subgroups && !context.software,
    SIGMOID: args.router === 'sigmoid',
    RENORMALIZE: args.renormalize,
    SHARED: routes.hasShared,
  };
  context.recorder.dispatch(
    variant(context, 'moe-route.wgsl', params, moeRouteParams),
    { logits: logits.buffer, ids: routes.ids, weights: routes.weights },
    { experts: routes.numExperts, stride: logits.stride, top_k: routes.topK, scale: args.scale },
    args.numTokens,
  );
}
