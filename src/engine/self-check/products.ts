/**
 * Known matrix products and a known norm, in the shapes for which the planners choose the kernels that a model runs.
 *
 * Owns their numbers and their results in float64. An error is relative to the sum of the products' magnitudes, which bounds what rounding
 * can do. Next: `check-case.ts` (what a case is), `attention.ts` (the others).
 */

import type { OpContext } from '../ops/context.ts';
import { recordMatmul } from '../ops/matmul.ts';
import { recordManyRows } from '../ops/matmul-many.ts';
import { planMatmul } from '../ops/matmul-plan.ts';
import { allocateQuantisedRows } from '../ops/quantise-rows.ts';
import { recordRmsNorm } from '../ops/rms-norm.ts';
import type { QuantisedFormat } from '../ops/tensor.ts';
import type { CheckCase } from './check-case.ts';
import type { CheckedModel } from './check-model.ts';
import { asBf16, asF16, numbers, type Workbench } from './workbench.ts';

/** Sums of f32 in any order stay far below, and a single product that is lost lies above. */
const F32_TOLERANCE = 2e-5;
/** Both operands rounded to f16's 11 bits, up or down: 2^-10 each. */
const F16_TOLERANCE = 2 ** -9;

interface Known {
  readonly want: Float64Array;
  readonly scale: Float64Array;
}

/** y = x w^T. Shapes: x [rows, columns], w [n, columns], and [rows, n]. */
function product(x: ArrayLike<number>, w: ArrayLike<number>, rows: number, n: number, columns: number): Known {
  const want = new Float64Array(rows * n);
  const scale = new Float64Array(rows * n);
  for (let row = 0; row < rows; row++) {
    for (let output = 0; output < n; output++) {
      let sum = 0;
      let magnitude = 0;
      for (let k = 0; k < columns; k++) {
        const term = (x[row * columns + k] ?? 0) * (w[output * columns + k] ?? 0);
        sum += term;
        magnitude += Math.abs(term);
      }
      want[row * n + output] = sum;
      scale[row * n + output] = magnitude;
    }
  }
  return { want, scale };
}

/** Rows divided by their root mean square, times `weight`. Shapes: x [rows, weight.length]. */
function normed(x: Float32Array, weight: Float32Array, eps: number): Float64Array {
  const columns = weight.length;
  return Float64Array.from(x, (value, i) => {
    const row = x.subarray(i - (i % columns), i - (i % columns) + columns);
    const meanSquare = row.reduce((sum, each) => sum + each * each, 0) / columns;
    return (value / Math.sqrt(meanSquare + eps)) * (weight[i % columns] ?? 0);
  });
}

/** The norm of rows. */
export function normCase(bench: Workbench, { hidden, normEps: eps }: CheckedModel): CheckCase {
  // The kernel has one width for narrow models and another one for all others.
  const [rows, columns] = [2, hidden <= 512 ? 172 : 600];
  const values = numbers(1, rows * columns);
  const weights = numbers(2, columns);
  const x = bench.tensor('x', rows, columns, values);
  const weight = bench.vector('norm', weights);
  const out = bench.tensor('norm of x', rows, columns);
  const want = normed(values, weights, eps);
  return {
    name: 'a norm',
    uses: ['subgroups'],
    record: (context) => recordRmsNorm(context, { x, weight, y: out, numRows: rows, rowList: null, eps }),
    ...{ out, want, scale: want.map(Math.abs), tolerance: F32_TOLERANCE },
  };
}

/** One row times bf16 weights, with the norm of the row folded in where the kernel does that. */
export function vectorCase(bench: Workbench, { normEps: eps }: CheckedModel): CheckCase {
  const [n, columns] = [70, 1096];
  const values = numbers(3, columns);
  const weights = asBf16(numbers(4, n * columns));
  const normWeights = numbers(5, columns);
  const x = bench.tensor('x', 1, columns, values);
  const weight = bench.matrix('bf16', n, columns, weights);
  const norm = { weight: bench.vector('norm', normWeights), eps };
  const out = bench.tensor('y', 1, n);
  return {
    name: 'a matrix times a vector',
    uses: ['subgroups'],
    record: (context) => recordMatmul(context, { x, norm, weight, y: out, numRows: 1 }),
    out,
    ...product(normed(values, normWeights, eps), weights, 1, n, columns),
    tolerance: F32_TOLERANCE,
  };
}

/** A few rows times f16 weights. */
export function f16WeightsCase(bench: Workbench): CheckCase {
  const [rows, n, columns] = [5, 70, 520];
  const values = numbers(6, rows * columns);
  const weights = asF16(numbers(7, n * columns));
  const x = bench.tensor('x', rows, columns, values);
  const weight = bench.matrix('f16', n, columns, weights);
  const out = bench.tensor('y', rows, n);
  return {
    name: 'a product with f16 weights',
    uses: ['f16'],
    record: (context) => recordMatmul(context, { x, weight, y: out, numRows: rows }),
    ...{ out, ...product(values, weights, rows, n, columns), tolerance: F32_TOLERANCE },
  };
}

/**
 * Many rows, ragged at every edge, among them one whose numbers are far outside f16: bf16 weights in the largest tile, with such a
 * row as well, and f16 weights in a small one whose sums are split.
 */
export function matrixCases(bench: Workbench): CheckCase[] {
  return (['bf16', 'f16'] as const).map((format) => {
    const isLarge = format === 'bf16';
    const [rows, n, columns] = isLarge ? [150, 140, 104] : [40, 70, 600];
    const values = numbers(8, rows * columns).map((v, i) => (Math.floor(i / columns) === 3 ? v * 2 ** 40 : v));
    const raw = numbers(9, n * columns);
    const weights = isLarge ? asBf16(raw.map((v, i) => (i < columns ? v * 2 ** 30 : v))) : asF16(raw);
    const x = bench.tensor('x', rows, columns, values);
    const weight = bench.matrix(format, n, columns, weights);
    const out = bench.tensor('y', rows, n);
    const record = (context: OpContext) => {
      const args = { x, weight, y: out, numRows: rows };
      const plan = isLarge ? planOfLargeProduct(context, columns) : null;
      if (!plan) recordMatmul(context, args);
      else recordManyRows(context, plan, { ...args, ...PLAIN });
    };
    return {
      name: `a product of many rows with ${format} weights`,
      uses: ['matrices'],
      record,
      ...{ out, ...product(values, weights, rows, n, columns), tolerance: F16_TOLERANCE },
    };
  });
}

const PLAIN = {
  ...{ firstRow: 0, second: null, bias: null, secondBias: null },
  epilogue: { ACTIVATION: 0, GATED: false, BIAS: false, ACCUMULATE: false },
};

/** The tile that a long prompt in a large model gets: the product that is computed with it here is a small one. */
function planOfLargeProduct(context: OpContext, columns: number) {
  const { device, software, matrix } = context;
  const plan = planMatmul(
    { rows: 2048, n: 4096, columns, gated: false, format: 'bf16' },
    {
      ...{ software, matrix, subgroupMaxSize: device.adapter.subgroupMaxSize },
      workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
    },
  );
  return plan.kind === 'tile' || plan.kind === 'matrix' ? plan : null;
}

/** One row as bytes times integer weights. Its numbers are whole, so that turning them into bytes loses nothing. */
export function bytesCase(bench: Workbench, format: QuantisedFormat): CheckCase {
  const [n, columns] = [70, 320];
  // Each block of 32 has a 127, which makes its scale 1.
  const values = numbers(10, columns).map((value, i) => (i % 32 === 5 ? 127 : Math.round(value * 70)));
  const { matrix: weight, values: weights } = bench.quantised(format, n, columns);
  const x = bench.tensor('x', 1, columns, values);
  const out = bench.tensor('y', 1, n);
  const room = allocateQuantisedRows(bench.device, 1, columns);
  bench.kept(room.quants);
  bench.kept(room.scales);
  return {
    name: `a product of bytes with ${format} weights`,
    uses: ['dp4a'],
    record: (context) => {
      const dp4a = context.device.hasDp4a ? room : null;
      recordMatmul({ ...context, dp4a }, { x, weight, y: out, numRows: 1 });
    },
    ...{ out, ...product(values, weights, 1, n, columns), tolerance: F32_TOLERANCE },
  };
}
