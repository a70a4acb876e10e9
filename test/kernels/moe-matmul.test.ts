import { describe, expect, test } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { OpContext } from '../../src/engine/ops/context.ts';
import { allocateMoeLists, recordMoeAlign } from '../../src/engine/ops/moe-align.ts';
import {
  expertsOf,
  type MoePlan,
  planMoe,
  recordMoeDown,
  recordMoeDownCombine,
  recordMoeGated,
} from '../../src/engine/ops/moe-matmul.ts';
import { isQuantised, type MatrixFormat } from '../../src/engine/ops/tensor.ts';
import {
  allVariants,
  context,
  gpuTest,
  matrix,
  randomNumbers,
  readTensor,
  roundTo,
  tensor,
  type Variant,
  variants,
  vector,
} from '../helpers/gpu.ts';
import { expertIds, moeRoutes, type Spread } from '../helpers/moe.ts';
import { quantisedMatrix } from '../helpers/quantised.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { activationReference } from '../reference/matmul.ts';
import { moeCombineReference } from '../reference/moe-combine.ts';
import { moeMatmulReference } from '../reference/moe-matmul.ts';
import { rmsNormReference } from '../reference/rms-norm.ts';

interface Case {
  readonly numTokens: number;
  readonly numExperts: number;
  readonly topK: number;
  readonly n: number;
  readonly k: number;
  readonly spread: Spread;
  readonly format: MatrixFormat;
  /** The gated product takes the rows before their norm. */
  readonly norm?: boolean;
  /** Rows of a shard; all in one unless said. */
  readonly rowsPerShard?: number;
}

const SHAPE = { n: 33, k: 100, format: 'bf16', spread: 'random' } as const;
const CASES: Case[] = [
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
const NORM_CASES: Case[] = [
  { ...SHAPE, numTokens: 3, numExperts: 8, topK: 2, k: 172, norm: true },
  { ...SHAPE, numTokens: 1, numExperts: 60, topK: 4, n: 32, k: 64, format: 'int4', norm: true },
];

const PLANS: MoePlan[] = [
  { kind: 'gemv', tileRows: 8 },
  { kind: 'gemv', tileRows: 16 },
  { kind: 'tile', tileRows: 32 },
  { kind: 'tile', tileRows: 64 },
];

function planOf(ops: OpContext, what: Case): MoePlan {
  const { maxComputeWorkgroupStorageSize } = ops.device.limits;
  return planMoe(what.numTokens * what.topK, what.numExperts, ops.software, maxComputeWorkgroupStorageSize);
}

/** Records what a layer does between the choice and the sum; checks each stage against float64. */
async function check(device: GpuDevice, variant: Variant, what: Case, given?: MoePlan): Promise<MoePlan> {
  const { numTokens, numExperts, topK, n, k, format, rowsPerShard } = what;
  const ops = context(device, variant);
  const plan = given ?? planOf(ops, what);
  const name = `${variant.name} ${plan.kind} ${plan.tileRows} ${JSON.stringify(what)}`;
  const numPairs = numTokens * topK;
  const ids = expertIds(numTokens, numExperts, topK, what.spread);
  const shareds = topK > 1 ? randomNumbers(9, numTokens * k) : null;
  const weights = randomNumbers(8, numTokens * (topK + (shareds ? 1 : 0)));
  const routes = moeRoutes(device, numExperts, topK, ids, weights);
  const lists = allocateMoeLists(device, numPairs, numExperts, Math.min(4, plan.tileRows));
  const stacked = (seed: number, rows: number, columns: number, spread: number, perShard = rows) => {
    const raw = randomNumbers(seed, rows * columns, spread);
    if (isQuantised(format)) return quantisedMatrix(device, `w${seed}`, format, 32, columns, raw, perShard);
    const values = raw.map((v) => roundTo(format, v));
    return { values, matrix: matrix(device, `w${seed}`, format, rows, columns, values, perShard) };
  };
  const raw = randomNumbers(1, numTokens * k);
  const normWeight = randomNumbers(7, k);
  const eps = 1e-5;
  const x = raw.slice();
  for (let t = 0; what.norm && t < numTokens; t++) {
    x.set(Float32Array.from(rmsNormReference(raw.subarray(t * k, (t + 1) * k), normWeight, eps)), t * k);
  }
  const gate = stacked(2, numExperts * n, k, 1 / Math.sqrt(k), rowsPerShard);
  const up = stacked(3, numExperts * n, k, 1, rowsPerShard);
  const common = { plan, routes, lists, numTokens };
  if (plan.tileRows > 1) recordMoeAlign(ops, routes, lists, numPairs, plan.tileRows);
  const gated = tensor(device, 'gated', numPairs, n);
  recordMoeGated(ops, {
    ...{ ...common, x: tensor(device, 'x', numTokens, k, raw), activation: 'silu', y: gated },
    ...{ gate: gate.matrix, up: up.matrix },
    norm: what.norm ? { weight: vector(device, 'norm', normWeight), eps } : null,
  });
  ops.recorder.submit();
  const g = moeMatmulReference(x, gate.values, ids, topK, n, k);
  const u = moeMatmulReference(x, up.values, ids, topK, n, k);
  const wantGated = g.map((v, i) => activationReference('silu', v) * (u[i] ?? 0));
  expectClose('activation', await readTensor(device, gated), wantGated, `${name}: gated`, Math.sqrt(k) * 4);

  // Down: from rows of n to rows of k, one for each pair.
  const rows = randomNumbers(4, numPairs * n);
  const downRows = rowsPerShard === undefined ? undefined : (rowsPerShard / n) * k;
  const down = stacked(5, numExperts * k, n, 1, downRows);
  const xs = tensor(device, 'rows', numPairs, n, rows);
  const wantRows = moeMatmulReference(rows, down.values, ids, 1, k, n);
  if (plan.tileRows > 1) {
    const y = tensor(device, 'y', numPairs, k);
    recordMoeDown(ops, { ...common, x: xs, weight: down.matrix, y });
    ops.recorder.submit();
    expectClose('matmul', await readTensor(device, y), wantRows, `${name}: down`, Math.sqrt(n) * 4);
  } else {
    const start = randomNumbers(6, numTokens * k);
    const y = tensor(device, 'y', numTokens, k, start);
    const shared = shareds && tensor(device, 'shared', numTokens, k, shareds);
    recordMoeDownCombine(ops, { ...common, x: xs, weight: down.matrix, shared, y });
    ops.recorder.submit();
    const want = moeCombineReference(start, wantRows, weights, topK, k, shareds);
    expectClose('matmul', await readTensor(device, y), want, `${name}: down and sum`, Math.sqrt(n) * 4 * topK);
  }
  return plan;
}

describe('moe-matmul', () => {
  for (const what of CASES) {
    const { numTokens, numExperts, topK, spread, format } = what;
    gpuTest(`${format}: ${numTokens} tokens, ${topK} of ${numExperts} experts, ${spread}`, async (device) => {
      for (const variant of allVariants(device)) {
        if (variant.f16 && !variant.software && format !== 'f16') continue;
        await check(device, variant, what);
      }
    });
  }

  gpuTest('few pairs take the rms norm of their rows along', async (device) => {
    for (const variant of allVariants(device)) {
      if (variant.software) continue;
      for (const what of NORM_CASES) await check(device, variant, what);
    }
  });

  for (const plan of PLANS) {
    gpuTest(`tiles of ${plan.tileRows} by ${plan.kind}, whatever the number of pairs`, async (device) => {
      const [plain, ...others] = variants(device) as [Variant, ...Variant[]];
      const what: Case = { ...SHAPE, numTokens: 21, numExperts: 8, topK: 2, spread: 'few' };
      await check(device, plain, what, plan);
      // The others differ in how sums are added up: the widest tile has most of them.
      if (plan.tileRows === 16) for (const variant of others.slice(0, 1)) await check(device, variant, what, plan);
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

  test('plan: few pairs are not sorted, many get tiles by how many an expert has', () => {
    const plan = (numPairs: number, numExperts: number) => planMoe(numPairs, numExperts, false, 32768);
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
    expect(planMoe(1000, 8, false, 16384).tileRows).toBe(32);
    expect([2, 100].map((pairs) => planMoe(pairs, 8, true, 32768))).toEqual([
      { kind: 'rows', tileRows: 1 },
      { kind: 'rows', tileRows: 4 },
    ]);
  });
});
