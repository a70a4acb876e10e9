/** Routes of tests: given ids and weights on the GPU, with guards behind them. */
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { MoeRoutes } from '../../src/engine/ops/moe-route.ts';
import { randomNumbers, upload } from './gpu.ts';

/** How a test's tokens spread over experts. */
export type Spread = 'random' | 'one' | 'few';

/** Distinct experts for each token, as a router chooses them. `one`: the same for all; `few`: of the first third only. */
export function expertIds(numTokens: number, numExperts: number, topK: number, spread: Spread): Uint32Array {
  const ids = new Uint32Array(numTokens * topK);
  const most = spread === 'few' ? Math.max(topK, Math.ceil(numExperts / 3)) : numExperts;
  for (let t = 0; t < numTokens; t++) {
    const keys = randomNumbers(spread === 'one' ? 1 : t + 1, most);
    const order = Array.from({ length: most }, (_, e) => e).sort((a, b) => (keys[b] ?? 0) - (keys[a] ?? 0));
    ids.set(order.slice(0, topK), t * topK);
  }
  return ids;
}

/** Routes with these ids and weights. Shapes: ids [T, topK], weights [T, topK (+ 1)]. */
export function moeRoutes(
  device: GpuDevice,
  numExperts: number,
  topK: number,
  ids: Uint32Array,
  weights: Float32Array,
): MoeRoutes {
  const hasShared = weights.length > ids.length;
  return {
    ...{ numExperts, topK, hasShared },
    ids: upload(device, 'ids', ids),
    weights: upload(device, 'weights', weights),
  };
}
