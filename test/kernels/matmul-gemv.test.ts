/** The forms of the matrix-vector kernel that may be chosen by measuring: each against float64, whatever rest the row leaves. */
import { describe } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { wideLoad } from '../../src/engine/ops/gemv-plan.ts';
import { recordGatedMatmul, recordMatmul } from '../../src/engine/ops/matmul.ts';
import { isQuantised, type Matrix, type MatrixFormat } from '../../src/engine/ops/tensor.ts';
import type { GemvSizes } from '../../src/engine/ops/tuned-plans.ts';
import {
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
import { quantisedMatrix } from '../helpers/quantised.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { activationReference, matmulReference } from '../reference/matmul.ts';
import { rmsNormReference } from '../reference/rms-norm.ts';

const EPS = 1e-5;
/** Odd, so that the last workgroup has outputs too many. */
const N = 7;
const FORMATS: readonly MatrixFormat[] = ['f32', 'bf16', 'f16', 'int8', 'int4'];

interface Form extends Omit<GemvSizes, 'load'> {
  readonly wide?: boolean;
  /** Rows of x. */
  readonly x: number;
  readonly gated?: boolean;
  /** Folded norm, biases, and accumulation where there is no pair. */
  readonly full?: boolean;
}

/** Every unroll and every number of rows, plain and gated, with and without the rest. Forms take turns with the adapter's variants. */
const FORMS: readonly Form[] = [
  { wg: 32, rows: 1, unroll: 4, x: 1, gated: true, full: true },
  { wg: 32, rows: 2, unroll: 2, x: 1, full: true },
  { wg: 64, rows: 4, unroll: 2, x: 1 },
  { wg: 256, rows: 1, unroll: 2, x: 1, full: true },
  { wg: 32, rows: 8, unroll: 1, x: 2, gated: true },
  { wg: 32, rows: 2, unroll: 4, x: 2 },
  { wg: 32, rows: 2, unroll: 2, x: 3 },
];

const WIDE_FORMS: readonly Form[] = [
  { wide: true, wg: 64, rows: 2, unroll: 1, x: 1, gated: true, full: true },
  { wide: true, wg: 32, rows: 2, unroll: 2, x: 1 },
  { wide: true, wg: 32, rows: 4, unroll: 1, x: 2 },
];

/** A form with many registers takes a software adapter seconds to compile: two formats stand for all where they are alike. */
function formsFor(format: MatrixFormat): readonly Form[] {
  const forms = format === 'bf16' || format === 'int4' ? FORMS : FORMS.slice(0, 3);
  return isQuantised(format) ? [...forms, ...WIDE_FORMS] : forms;
}

/** Less than a stride; a stride and a rest; two strides. Whole groups of 32 where they must be, else with padding. */
function columnsFor(format: MatrixFormat, stride: number): number[] {
  const ragged = isQuantised(format) ? [64, stride + 96] : [52, stride + 84];
  return [...ragged, 2 * stride];
}

function makeMatrix(device: GpuDevice, format: MatrixFormat, seed: number, k: number, spread: number) {
  const values = randomNumbers(seed, N * k, spread);
  if (isQuantised(format)) return quantisedMatrix(device, `w${seed}`, format, 32, k, values, 4);
  const rounded = values.map((v) => roundTo(format, v));
  return { matrix: matrix(device, `w${seed}`, format, N, k, rounded, 4), values: rounded };
}

async function check(device: GpuDevice, variant: Variant, format: MatrixFormat, form: Form, k: number): Promise<void> {
  const { wg, rows, unroll, wide, x: numRows, gated = false, full = false } = form;
  const sizes = { wg, rows, unroll, load: wide ? wideLoad(format) : 1 };
  const ops = { ...context(device, variant), tuned: { lookup: () => sizes } };
  const x = randomNumbers(numRows, numRows * k).map((v, i) => v * (1 + Math.floor(i / k)));
  const g = randomNumbers(3, k);
  const row = (t: number) => x.subarray(t * k, (t + 1) * k);
  const normed = Array.from({ length: numRows }, (_, t) => [...rmsNormReference(row(t), g, EPS)]);
  const input = full ? Float32Array.from(normed.flat()) : x;
  const norm = full ? { weight: vector(device, 'g', g), eps: EPS } : null;
  const first = makeMatrix(device, format, 4, k, gated ? 1 / Math.sqrt(k) : 1);
  const [b1, b2, start] = [randomNumbers(6, N), randomNumbers(7, N), randomNumbers(8, numRows * N)];
  const bias = (values: Float32Array) => (full ? vector(device, 'bias', values) : null);
  const y = tensor(device, 'y', numRows, N, start);
  const common = { x: tensor(device, 'x', numRows, k, x), norm, y, numRows };
  const product = matmulReference(input, first.values, numRows, N, k, full ? b1 : null);
  const what = `${variant.name} ${format} ${JSON.stringify(form)} k=${k}`;
  let want: ArrayLike<number> = product.map((v, i) => v + (full ? (start[i] ?? 0) : 0));
  if (gated) {
    const second = makeMatrix(device, format, 5, k, 1);
    const up = matmulReference(input, second.values, numRows, N, k, full ? b2 : null);
    want = product.map((v, i) => activationReference('silu', v) * (up[i] ?? 0));
    const [gateBias, upBias] = [bias(b1), bias(b2)];
    const pair: { gate: Matrix; up: Matrix } = { gate: first.matrix, up: second.matrix };
    recordGatedMatmul(ops, { ...common, ...pair, gateBias, upBias, activation: 'silu' });
  } else {
    recordMatmul(ops, { ...common, weight: first.matrix, bias: bias(b1), accumulate: full });
  }
  ops.recorder.submit();
  expectClose(gated ? 'activation' : 'matmul', await readTensor(device, y), want, what, Math.sqrt(k) * 4);
}

describe('forms of the matrix-vector kernel', () => {
  for (const format of FORMATS) {
    gpuTest(`${format}: unroll, loads, rows and lanes, with any rest of a row, agree with float64`, async (device) => {
      const usable = variants(device).filter(({ f16 }) => !f16 || format === 'f16');
      for (const [i, form] of formsFor(format).entries()) {
        const variant = usable[i % usable.length];
        if (!variant) throw new Error('no variant');
        const load = form.wide ? wideLoad(format) : 1;
        const stride = form.wg * form.unroll * load * 8;
        for (const k of columnsFor(format, stride)) await check(device, variant, format, form, k);
      }
    });
  }
});
