/**
 * Matrix products with packed weights: y = x W^T, with bias, accumulation or a gated pair in the epilogue.
 *
 * Owns the arguments, and the recording of the matrix-vector kernel and of the one for software adapters. Weights larger than one binding
 * are sharded by rows: one dispatch per shard writes its columns of y. Shaders: matmul-gemv.wgsl, matmul-rows.wgsl.
 * Next: `matmul-plan.ts` (which kernel), `matmul-many.ts` (more than 16 rows).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import { struct } from '../gpu/layout.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import { type OpContext, variant } from './context.ts';
import { recordManyRows } from './matmul-many.ts';
import { type MatmulPlan, planMatmul } from './matmul-plan.ts';
import { CHUNK, formatCode, type Matrix, paddedColumns, type Tensor, type Vector } from './tensor.ts';

const matmulParams = struct('MatmulParams', {
  rows: 'u32',
  n: 'u32',
  chunks: 'u32',
  x_row: 'u32',
  x_stride: 'u32',
  y_row: 'u32',
  y_stride: 'u32',
  y_column: 'u32',
});

export type Activation = 'silu' | 'gelu-tanh' | 'gelu';

const ACTIVATION_CODE: Record<Activation, number> = { silu: 0, 'gelu-tanh': 1, gelu: 2 };

const MAX_GROUPS_X = 65535;

export interface MatmulArgs {
  readonly x: Tensor;
  readonly weight: Matrix;
  /** Shapes: [weight.rows]. */
  readonly bias?: Vector | null;
  readonly y: Tensor;
  readonly numRows: number;
  /** Add to y instead of replacing it (residual). */
  readonly accumulate?: boolean;
  /** First row of x to read and of y to write. */
  readonly firstRow?: number;
}

export interface GatedMatmulArgs {
  readonly x: Tensor;
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly gateBias?: Vector | null;
  readonly upBias?: Vector | null;
  readonly activation: Activation;
  readonly y: Tensor;
  readonly numRows: number;
}

/** Records y[t] = weight x[t] (+ bias) (+ y[t]) for `numRows` rows. Shapes: x [T, K], weight [N, K], y [T, N]. */
export function recordMatmul(context: OpContext, args: MatmulArgs): void {
  const { x, weight, y, numRows } = args;
  checkShapes('matmul', x, weight, y);
  record(context, {
    x,
    y,
    numRows,
    firstRow: args.firstRow ?? 0,
    weight,
    second: null,
    bias: args.bias ?? null,
    secondBias: null,
    accumulate: args.accumulate ?? false,
    activation: 'silu',
  });
}

/** Records y[t] = activation(gate x[t]) * (up x[t]). Shapes: x [T, K], gate and up [N, K], y [T, N]. */
export function recordGatedMatmul(context: OpContext, args: GatedMatmulArgs): void {
  const { x, gate, up, y, numRows, gateBias, upBias } = args;
  checkShapes('gated matmul', x, gate, y);
  checkShapes('gated matmul', x, up, y);
  record(context, {
    x,
    y,
    numRows,
    firstRow: 0,
    weight: gate,
    second: up,
    bias: gateBias && upBias ? gateBias : null,
    secondBias: gateBias && upBias ? upBias : null,
    accumulate: false,
    activation: args.activation,
  });
}

function checkShapes(what: string, x: Tensor, weight: Matrix, y: Tensor): void {
  if (weight.columns !== x.columns || weight.rows > y.columns) {
    throw new Error(`${what}: [${weight.rows}, ${weight.columns}] does not take ${x.columns} columns to ${y.columns}`);
  }
}

interface Recording {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly numRows: number;
  readonly firstRow: number;
  readonly weight: Matrix;
  readonly second: Matrix | null;
  readonly bias: Vector | null;
  readonly secondBias: Vector | null;
  readonly accumulate: boolean;
  readonly activation: Activation;
}

/** What include/matmul-output.wgsl is to do. */
function epilogueParams({ second, bias, accumulate, activation }: Recording) {
  return {
    ACTIVATION: second ? ACTIVATION_CODE[activation] : 0,
    GATED: second !== null,
    BIAS: bias !== null,
    ACCUMULATE: accumulate,
  };
}

/** Plans by context, matrix, and rows with the bit of a pair: the same few come again in every step. */
const plans = new WeakMap<OpContext, WeakMap<Matrix, Map<number, MatmulPlan>>>();

/** The plan for a product with `weight`, or with it and a second one of its shape (`gated`), on this context's adapter. */
function planFor(context: OpContext, weight: Matrix, rows: number, gated: boolean): MatmulPlan {
  let ofContext = plans.get(context);
  if (!ofContext) {
    ofContext = new WeakMap();
    plans.set(context, ofContext);
  }
  let ofMatrix = ofContext.get(weight);
  if (!ofMatrix) {
    ofMatrix = new Map();
    ofContext.set(weight, ofMatrix);
  }
  const key = rows * 2 + (gated ? 1 : 0);
  let plan = ofMatrix.get(key);
  if (!plan) {
    const { device, software, matrix } = context;
    const adapter = {
      software,
      workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
      matrix,
      subgroupMaxSize: device.adapter.subgroupMaxSize,
    };
    const { rows: n, columns, format } = weight;
    plan = withTunedSizes(context, planMatmul({ rows, n, columns, format, gated }, adapter), weight, gated);
    ofMatrix.set(key, plan);
  }
  return plan;
}

/** The plan with the sizes that were measured to be best for this shape, where there are some. */
function withTunedSizes({ tuned }: OpContext, plan: MatmulPlan, weight: Matrix, gated: boolean): MatmulPlan {
  if (plan.kind !== 'gemv' || tuned === undefined) return plan;
  const kind = gated ? 'gated-gemv' : 'gemv';
  const sizes = tuned.lookup(kind, weight.format, weight.rows, weight.columns, plan.cols);
  return sizes ? { ...plan, wg: sizes.wg, rows: sizes.rows } : plan;
}

function record(context: OpContext, what: Recording): void {
  const { x, y, weight, second, numRows } = what;
  second?.shards.forEach((shard, i) => {
    if (shard.firstRow !== weight.shards[i]?.firstRow)
      throw new Error('gated matmul: gate and up are sharded differently');
  });
  const plan = planFor(context, weight, numRows, second !== null);
  if (plan.kind === 'tile' || plan.kind === 'matrix') {
    recordManyRows(context, plan, { ...what, epilogue: epilogueParams(what) });
    return;
  }
  const shaderParams: Record<string, ParamValue> = {
    FORMAT: formatCode(weight.format),
    F16: context.f16 && weight.format === 'f16',
    ...epilogueParams(what),
    WG: plan.wg,
    ROWS: plan.rows,
    COLS: plan.cols,
  };
  if (plan.kind === 'gemv') shaderParams.SUBGROUPS = context.subgroups;
  const kernel = variant(
    context,
    plan.kind === 'gemv' ? 'matmul-gemv.wgsl' : 'matmul-rows.wgsl',
    shaderParams,
    matmulParams,
  );
  weight.shards.forEach((shard, i) => {
    const partner = second?.shards[i];
    const buffers: Record<string, GpuBuffer> = { x: x.buffer, y: y.buffer, w: shard.buffer };
    if (partner) buffers.w2 = partner.buffer;
    if (what.bias) buffers.bias = what.bias.buffer;
    if (what.secondBias) buffers.bias2 = what.secondBias.buffer;
    const params = {
      rows: numRows,
      n: shard.rows,
      chunks: paddedColumns(weight.columns) / CHUNK,
      x_row: what.firstRow,
      x_stride: x.stride / 4,
      y_row: what.firstRow,
      y_stride: y.stride,
      y_column: shard.firstRow,
    };
    if (plan.kind === 'gemv') {
      const groups = Math.ceil(shard.rows / plan.rows);
      const width = Math.min(groups, MAX_GROUPS_X);
      context.recorder.dispatch(kernel, buffers, params, width, Math.ceil(groups / width));
    } else {
      const outputs = plan.wg * plan.rows;
      const width = Math.ceil(shard.rows / outputs);
      context.recorder.dispatch(kernel, buffers, params, width, Math.ceil(numRows / plan.cols));
    }
  });
}
