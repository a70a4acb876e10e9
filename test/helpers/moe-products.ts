/**
 * The experts' products of one layer in a test: records them with random weights, and compares each stage with float64.
 */
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { adapterOf } from '../../src/engine/ops/matmul.ts';
import { allocateMoeLists, recordMoeAlign } from '../../src/engine/ops/moe-align.ts';
import { recordMoeDown, recordMoeDownCombine, recordMoeGated } from '../../src/engine/ops/moe-matmul.ts';
import { type MoePlan, planMoe } from '../../src/engine/ops/moe-plan.ts';
import { allocateQuantisedRows } from '../../src/engine/ops/quantise-rows.ts';
import { isQuantised, type MatrixFormat } from '../../src/engine/ops/tensor.ts';
import { activationReference } from '../reference/matmul.ts';
import { moeCombineReference } from '../reference/moe-combine.ts';
import { moeMatmulReference } from '../reference/moe-matmul.ts';
import { quantisedValues, withoutTies } from '../reference/quantise-rows.ts';
import { rmsNormReference } from '../reference/rms-norm.ts';
import { context, matrix, randomNumbers, readTensor, roundTo, tensor, type Variant, vector } from './gpu.ts';
import { expertIds, moeRoutes, type Spread } from './moe.ts';
import { quantisedMatrix } from './quantised.ts';
import { expectClose } from './tolerance.ts';

/** One layer's experts and what goes through them. */
export interface MoeCase {
  readonly numTokens: number;
  readonly numExperts: number;
  readonly topK: number;
  readonly n: number;
  readonly k: number;
  readonly spread: Spread;
  readonly format: MatrixFormat;
  /** The gated product takes the rows before their norm. */
  readonly norm?: boolean;
  /** Rows are turned into bytes before each product. */
  readonly bytes?: boolean;
  /** Rows of a shard; all in one unless said. */
  readonly rowsPerShard?: number;
}

const TOLERANCES = { gated: 'activation', down: 'matmul' } as const;
const F16_TOLERANCES = { gated: 'gatedF16', down: 'matmulF16' } as const;

/** Records what a layer does between the choice and the sum, by the planner's plan or by a given one; checks each stage against float64. */
export async function checkMoeProducts(
  device: GpuDevice,
  variant: Variant,
  what: MoeCase,
  given?: MoePlan,
): Promise<MoePlan> {
  const { numTokens, numExperts, topK, n, k, format, rowsPerShard } = what;
  const { bytes = false } = what;
  const room = bytes ? allocateQuantisedRows(device, numTokens * topK, Math.max(n, k)) : null;
  const ops = { ...context(device, variant), dp4a: room };
  const shape = { numPairs: numTokens * topK, numExperts, formats: [format], bytes };
  const plan = given ?? planMoe(shape, adapterOf(ops));
  const tolerances = plan.kind === 'matrix' ? F16_TOLERANCES : TOLERANCES;
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
  const raw = bytes ? withoutTies(randomNumbers(1, numTokens * k)) : randomNumbers(1, numTokens * k);
  const asTaken = (values: Float32Array) => (bytes ? Float32Array.from(quantisedValues(values)) : values);
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
  const taken = asTaken(x);
  const g = moeMatmulReference(taken, gate.values, ids, topK, n, k);
  const u = moeMatmulReference(taken, up.values, ids, topK, n, k);
  const wantGated = g.map((v, i) => activationReference('silu', v) * (u[i] ?? 0));
  expectClose(tolerances.gated, await readTensor(device, gated), wantGated, `${name}: gated`, Math.sqrt(k) * 4);

  // Down: from rows of n to rows of k, one for each pair.
  const rows = bytes ? withoutTies(randomNumbers(4, numPairs * n)) : randomNumbers(4, numPairs * n);
  const downRows = rowsPerShard === undefined ? undefined : (rowsPerShard / n) * k;
  const down = stacked(5, numExperts * k, n, 1, downRows);
  const xs = tensor(device, 'rows', numPairs, n, rows);
  const wantRows = moeMatmulReference(asTaken(rows), down.values, ids, 1, k, n);
  if (plan.tileRows > 1) {
    const y = tensor(device, 'y', numPairs, k);
    recordMoeDown(ops, { ...common, x: xs, weight: down.matrix, y });
    ops.recorder.submit();
    expectClose(tolerances.down, await readTensor(device, y), wantRows, `${name}: down`, Math.sqrt(n) * 4);
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
