import { describe, expect, test } from 'bun:test';
import type { MatmulAdapter } from '../../src/engine/ops/matmul-plan.ts';
import { expertsOf, recordMoeDownCombine } from '../../src/engine/ops/moe-matmul.ts';
import { type MoePlan, moePlanChanges, planMoe } from '../../src/engine/ops/moe-plan.ts';
import type { MatrixFormat } from '../../src/engine/ops/tensor.ts';
import {
  allVariants,
  context,
  gpuTest,
  matrix,
  randomNumbers,
  readTensor,
  tensor,
  type Variant,
  variants,
} from '../helpers/gpu.ts';
import { expertIds, moeRoutes } from '../helpers/moe.ts';
import { checkMoeProducts, type MoeCase } from '../helpers/moe-products.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { moeCombineReference } from '../reference/moe-combine.ts';
import { moeMatmulReference } from '../reference/moe-matmul.ts';

const SHAPE = { n: 33, k: 100, format: 'bf16', spread: 'random' } as const;
const CASES: MoeCase[] = [
  { ...SHAPE, numTokens: 1, numExperts: 8, topK: 2, format: 'f32', rowsPerShard: 3 * 33 },
  { ...SHAPE, numTokens: 3, numExperts: 60, topK: 4, n: 7, k: 520 },
  { ...SHAPE, numTokens: 17, numExperts: 20, topK: 2, spread: 'few', format: 'f16', rowsPerShard: 3 * 33 },
  { ...SHAPE, numTokens: 17, numExperts: 128, topK: 8, n: 9, k: 24 },
  { ...SHAPE, numTokens: 140, numExperts: 8, topK: 1, spread: 'one', rowsPerShard: 2 * 33 },
  { ...SHAPE, numTokens: 270, numExperts: 8, topK: 2 },
  { ...SHAPE, numTokens: 2, numExperts: 8, topK: 2, n: 64, k: 96, format: 'int8' },
  { ...SHAPE, numTokens: 2, numExperts: 8, topK: 2, n: 64, k: 128, format: 'int4', rowsPerShard: 3 * 64 },
  { ...SHAPE, numTokens: 12, numExperts: 16, topK: 2, n: 64, k: 64, format: 'int4', spread: 'few' },
  { ...SHAPE, numTokens: 70, numExperts: 4, topK: 2, n: 32, k: 64, format: 'int8', spread: 'few' },
];
const NORM_CASES: MoeCase[] = [
  { ...SHAPE, numTokens: 3, numExperts: 8, topK: 2, k: 172, norm: true },
  { ...SHAPE, numTokens: 1, numExperts: 60, topK: 4, n: 32, k: 64, format: 'int4', norm: true },
];

const PLANS: MoePlan[] = [
  { kind: 'gemv', tileRows: 8 },
  { kind: 'gemv', tileRows: 16 },
  { kind: 'tile', tileRows: 32 },
  { kind: 'tile', tileRows: 64 },
];

describe('moe-matmul', () => {
  for (const what of CASES) {
    const { numTokens, numExperts, topK, spread, format } = what;
    gpuTest(`${format}: ${numTokens} tokens, ${topK} of ${numExperts} experts, ${spread}`, async (device) => {
      for (const variant of allVariants(device)) {
        if (variant.f16 && !variant.software && format !== 'f16') continue;
        await checkMoeProducts(device, variant, what);
      }
    });
  }

  gpuTest('few pairs take the rms norm of their rows along', async (device) => {
    for (const variant of allVariants(device)) {
      if (variant.software) continue;
      for (const what of NORM_CASES) await checkMoeProducts(device, variant, what);
    }
  });

  for (const plan of PLANS) {
    gpuTest(`tiles of ${plan.tileRows} by ${plan.kind}, whatever the number of pairs`, async (device) => {
      const [plain, ...others] = variants(device) as [Variant, ...Variant[]];
      const what: MoeCase = { ...SHAPE, numTokens: 21, numExperts: 8, topK: 2, spread: 'few' };
      await checkMoeProducts(device, plain, what, plan);
      // The others differ in how sums are added up: the widest tile has most of them.
      if (plan.tileRows === 16)
        for (const variant of others.slice(0, 1)) await checkMoeProducts(device, variant, what, plan);
    });
  }

  gpuTest('an expert that exceeds a binding is split by rows', async (device) => {
    const ops = context(device);
    const [numExperts, topK, n, k, numTokens] = [3, 2, 10, 16, 5];
    const ids = expertIds(numTokens, numExperts, topK, 'random');
    const routes = moeRoutes(device, numExperts, topK, ids, new Float32Array(ids.length).fill(1));
    const w = randomNumbers(1, numExperts * n * k);
    const x = randomNumbers(2, ids.length * k);
    const whole = matrix(device, 'w', 'f32', numExperts * n, k, w, 5);
    const y = tensor(device, 'y', numTokens, n);
    const plan: MoePlan = { kind: 'gemv', tileRows: 1 };
    const xs = tensor(device, 'x', ids.length, k, x);
    recordMoeDownCombine(ops, { plan, routes, numTokens, x: xs, weight: whole, shared: null, y });
    ops.recorder.submit();
    const rows = moeMatmulReference(x, w, ids, 1, n, k);
    const ones = new Float32Array(ids.length).fill(1);
    const want = moeCombineReference(new Float32Array(numTokens * n), rows, ones, topK, n, null);
    expectClose('matmul', await readTensor(device, y), want, 'split experts', 16);
  });

  test('shards: several experts, a part of one, and no other', () => {
    const buffer = {} as never;
    expect(expertsOf({ buffer, firstRow: 20, rows: 30 }, 10)).toEqual({ first: 2, count: 3, firstRow: 0, rows: 10 });
    expect(expertsOf({ buffer, firstRow: 26, rows: 4 }, 10)).toEqual({ first: 2, count: 1, firstRow: 6, rows: 4 });
    expect(() => expertsOf({ buffer, firstRow: 26, rows: 5 }, 10)).toThrow('shard');
  });

  const adapter: MatmulAdapter = { software: false, workgroupBytes: 32768, matrix: null, subgroupMaxSize: 32 };
  const plan = (
    numPairs: number,
    numExperts: number,
    more: Partial<MatmulAdapter> = {},
    formats: MatrixFormat[] = [],
  ) => planMoe({ numPairs, numExperts, formats }, { ...adapter, ...more });

  test('plan: few pairs are not sorted, many get tiles by how many an expert has', () => {
    expect([2, 16, 17, 40, 64, 130, 300, 1000].map((pairs) => plan(pairs, 8))).toEqual([
      { kind: 'gemv', tileRows: 1 },
      { kind: 'gemv', tileRows: 1 },
      { kind: 'gemv', tileRows: 8 },
      { kind: 'gemv', tileRows: 8 },
      { kind: 'gemv', tileRows: 16 },
      { kind: 'tile', tileRows: 32 },
      { kind: 'tile', tileRows: 64 },
      { kind: 'tile', tileRows: 64 },
    ]);
    expect([64, 65, 256].map((pairs) => plan(pairs, 128).tileRows)).toEqual([1, 4, 4]);
    expect(plan(1000, 8, { workgroupBytes: 16384 }).tileRows).toBe(32);
    expect([2, 100].map((pairs) => plan(pairs, 8, { software: true }))).toEqual([
      { kind: 'rows', tileRows: 1 },
      { kind: 'rows', tileRows: 4 },
    ]);
  });

  test('plan: from 16 pairs per expert on, subgroup matrices multiply what is not f32', () => {
    const matrix = { M: 16, N: 16, K: 16, componentType: 'f16', resultComponentType: 'f32' } as const;
    const sizes = (formats: MatrixFormat[], more: Partial<MatmulAdapter> = {}) =>
      [127, 128, 240, 256, 768, 800].map((pairs) => {
        const { kind, tileRows } = plan(pairs, 8, { matrix, ...more }, formats);
        return `${kind} ${tileRows}`;
      });
    const all = ['gemv 16', 'matrix 32', 'matrix 32', 'matrix 64', 'matrix 64', 'matrix 128'];
    expect(sizes(['bf16', 'bf16'])).toEqual(all);
    expect(sizes(['int4', 'f16'])).toEqual(all);
    expect(sizes(['int4', 'f32'])).toEqual(['gemv 16', 'gemv 16', 'tile 32', 'tile 32', 'tile 64', 'tile 64']);
    expect(sizes(['f16'], { software: true })[5]).toBe('rows 4');
    // Too many sums for so few lanes.
    expect(sizes(['f16'], { subgroupMaxSize: 8 })[5]).toBe('matrix 64');
    expect(sizes(['f16'], { workgroupBytes: 4096 })[5]).toBe('tile 32');
  });

  test('plan: every change of plan is known by its first number of tokens', () => {
    const matrix = { M: 16, N: 16, K: 16, componentType: 'f16', resultComponentType: 'f32' } as const;
    const shape = { numExperts: 128, topK: 8, formats: ['bf16' as const] };
    const changes = moePlanChanges(shape, 2048, { ...adapter, matrix });
    expect(changes.map(({ tokens, plan: { kind, tileRows } }) => `${tokens}: ${kind} ${tileRows}`)).toEqual([
      ...[
        '1: gemv 1',
        '9: gemv 4',
        '33: gemv 8',
        '81: gemv 16',
        '256: matrix 32',
        '481: matrix 64',
        '1537: matrix 128',
      ],
    ]);
  });
});
