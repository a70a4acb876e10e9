import { describe, expect } from 'bun:test';
import { allocateMoeRoutes, type MoeRoutes, recordMoeRoute } from '../../src/engine/ops/moe-route.ts';
import { allVariants, context, gpu, gpuTest, randomNumbers, tensor, upload } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { moeRouteReference, type RouteCase } from '../reference/moe-route.ts';

/** [experts, chosen, tokens] */
const SHAPES: [number, number, number][] = [
  [1, 1, 1],
  [8, 1, 3],
  [8, 2, 17],
  [60, 4, 5],
  [128, 8, 100],
  [512, 16, 3],
];

const GUARD = 0xdeadbeef;

/** Routes with a guard word behind each of the two arrays. */
function guardedRoutes(what: RouteCase): MoeRoutes {
  const device = gpu as NonNullable<typeof gpu>;
  const { numTokens, numExperts, topK, hasShared } = what;
  const room = (label: string, words: number) => upload(device, label, new Uint32Array(words + 1).fill(GUARD));
  return {
    ...{ numExperts, topK, hasShared },
    ids: room('ids', numTokens * topK),
    weights: room('weights', numTokens * (topK + (hasShared ? 1 : 0))),
  };
}

async function routed(what: RouteCase, logits: Float32Array, variant: Parameters<typeof context>[1]) {
  const device = gpu as NonNullable<typeof gpu>;
  const { numTokens, numExperts, topK, router, renormalize, scale, hasShared } = what;
  const routes = guardedRoutes(what);
  const ops = context(device, variant);
  const columns = numExperts + (hasShared ? 1 : 0);
  const tensorOfLogits = tensor(device, 'logits', numTokens, columns, logits);
  recordMoeRoute(ops, { logits: tensorOfLogits, routes, numTokens, router, renormalize, scale });
  ops.recorder.submit();
  const words = async (from: MoeRoutes['ids'], count: number) => {
    const bytes = await device.read(from, 0, (count + 1) * 4);
    const all = new Uint32Array(bytes.buffer, bytes.byteOffset, count + 1);
    expect(all[count]).toBe(GUARD);
    return all.subarray(0, count);
  };
  const ids = await words(routes.ids, numTokens * topK);
  const bits = await words(routes.weights, numTokens * (topK + (hasShared ? 1 : 0)));
  return { ids, weights: new Float32Array(bits.buffer, bits.byteOffset, bits.length) };
}

describe('moe-route', () => {
  gpuTest('chooses and weighs as float64 does, for every router', async (device) => {
    for (const variant of allVariants(device)) {
      for (const [i, [numExperts, topK, numTokens]] of SHAPES.entries()) {
        for (const router of ['softmax', 'sigmoid'] as const) {
          for (const renormalize of [false, true]) {
            const what: RouteCase = {
              ...{ numTokens, numExperts, topK, router, renormalize },
              ...{ scale: renormalize ? 2.5 : 1, hasShared: i % 2 === 1 },
            };
            const logits = randomNumbers(i + 1, numTokens * (numExperts + 1), 3);
            const name = `${variant.name} ${router} ${topK} of ${numExperts}, renormalize=${renormalize}`;
            const got = await routed(what, logits, variant);
            const want = moeRouteReference(logits, what);
            expect({ name, ids: [...got.ids] }).toEqual({ name, ids: [...want.ids] });
            expectClose('activation', got.weights, want.weights, name, 1);
          }
        }
      }
    }
  });

  gpuTest('ties go to the lower id, whatever lane has it; zeros of both signs are equal', async (device) => {
    const what: RouteCase = {
      ...{ numTokens: 4, numExperts: 128, topK: 8, router: 'softmax', renormalize: true, scale: 1, hasShared: false },
    };
    const logits = new Float32Array(4 * 128);
    // Row 0: all equal. Row 1: a few values many times. Row 2: signed zeros above negatives. Row 3: two huge ones, the rest far below.
    for (let e = 0; e < 128; e++) {
      logits[128 + e] = (e * 37) % 5;
      logits[256 + e] = e % 3 === 0 ? (e % 2 === 0 ? 0 : -0) : -1;
      logits[384 + e] = e === 70 || e === 6 ? 300 : -300;
    }
    for (const variant of allVariants(device)) {
      const got = await routed(what, logits, variant);
      const want = moeRouteReference(logits, what);
      expect([...got.ids]).toEqual([...want.ids]);
      expect([...got.ids.subarray(0, 8)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      expectClose('activation', got.weights, want.weights, `${variant.name} ties`, 1);
    }
  });

  gpuTest('more experts than the kernels have room for are refused', (device) => {
    expect(() => allocateMoeRoutes(device, 1, { numExperts: 513, topK: 2, hasShared: false })).toThrow('512');
    expect(() => allocateMoeRoutes(device, 1, { numExperts: 64, topK: 17, hasShared: false })).toThrow('16');
  });
});
