/**
 * Matrix products with packed weights: y = x W^T, with bias, accumulation or a gated pair in the epilogue.
 *
 * Owns the arguments, and the recording of the matrix-vector kernel and of the one for software adapters. Weights larger than one binding
 * are sharded by rows: one dispatch per shard writes its columns of y. Shaders: matmul-gemv.wgsl, matmul-rows.wgsl.
 * Next: `matmul-plan.ts` (which kernel), `matmul-many.ts` (more than 16 rows), `matmul-dp4a.ts` (integer weights by bytes of x).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import { type OpContext, variant } from './context.ts';
import { gemvBytes } from './gemv-plan.ts';
import { recordByBytes, takesBytes } from './matmul-dp4a.ts';
import { recordManyRows } from './matmul-many.ts';
import { matmulParams, weightParams } from './matmul-params.ts';
import { type MatmulAdapter, type MatmulPlan, planMatmul } from './matmul-plan.ts';
import {
  CHUNK,
  isQuantised,
  type Matrix,
  type MatrixFormat,
  paddedColumns,
  type Tensor,
  type Vector,
} from './tensor.ts';

export type Activation = 'silu' | 'gelu-tanh' | 'gelu';

/** Number that shaders know an activation by (include/activation.wgsl). */
export const ACTIVATION_CODE: Record<Activation, number> = { silu: 0, 'gelu-tanh': 1, gelu: 2 };

const MAX_GROUPS_X = 65535;

/** The rms norm of x, where the product takes x as it was before its norm. */
export interface FoldedNorm {
  /** Shapes: [x.columns]. */
  readonly weight: Vector;
  readonly eps: number;
}

export interface MatmulArgs {
  readonly x: Tensor;
  /** Only where {@link foldsNorm} says that the kernel takes it. */
  readonly norm?: FoldedNorm | null;
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
  /** As in {@link MatmulArgs}. */
  readonly norm?: FoldedNorm | null;
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly gateBias?: Vector | null;
  readonly upBias?: Vector | null;
  readonly activation: Activation;
  readonly y: Tensor;
  readonly numRows: number;
}

/**
 * Whether the product takes the rms norm of x along. Where it does not, the norm is an op of its own: a tile would
 * need the row's scale before its first output is done, and on a CPU the products of every block of outputs cost more than one pass.
 * Where x is turned into bytes first, the norm goes with that.
 */
export function foldsNorm(context: OpContext, weight: Matrix, numRows: number, gated: boolean): boolean {
  if (takesBytes(context, weight)) return true;
  const plan = planFor(context, weight, numRows, gated);
  if (plan.kind !== 'gemv') return false;
  const bytes = gemvBytes(plan, { gated, cols: plan.cols }, context.subgroups);
  return bytes <= context.device.limits.maxComputeWorkgroupStorageSize;
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
    norm: args.norm ?? null,
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
    norm: args.norm ?? null,
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
  readonly norm: FoldedNorm | null;
  readonly activation: Activation;
}

/**
 * Chunks of weights in one load, where nothing was measured. Tiles are staged chunk by chunk. Lanes side by side each need their own part
 * of x, and the farther apart these lie, the more lines of the cache one load of x touches: so a lane takes no more than the eight elements
 * that a load of bf16 has. A CPU's kernel reads the same x in all lanes, and gains from fewer loads.
 */
export function loadChunks(format: MatrixFormat, kind: MatmulPlan['kind']): number {
  if (kind !== 'rows' || !isQuantised(format)) return 1;
  return format === 'int8' ? 2 : 4;
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

/** What the planners of products must know of this context's adapter. */
export function adapterOf({ device, software, matrix }: OpContext): MatmulAdapter {
  const { maxComputeWorkgroupStorageSize: workgroupBytes } = device.limits;
  return { software, workgroupBytes, matrix, subgroupMaxSize: device.adapter.subgroupMaxSize };
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
    const { rows: n, columns, format } = weight;
    const chosen = planMatmul({ rows, n, columns, format, gated }, adapterOf(context));
    plan = withTunedSizes(context, chosen, weight, gated);
    ofMatrix.set(key, plan);
  }
  return plan;
}

/** The plan with the sizes that were measured to be best for this shape, where there are some. */
function withTunedSizes({ tuned }: OpContext, plan: MatmulPlan, weight: Matrix, gated: boolean): MatmulPlan {
  if (plan.kind !== 'gemv' || tuned === undefined) return plan;
  const kind = gated ? 'gated-gemv' : 'gemv';
  const sizes = tuned.lookup(kind, weight.format, weight.rows, weight.columns, plan.cols);
  return sizes ? { ...plan, ...sizes } : plan;
}

/** A kernel unpacks both matrices of a pair alike. */
export function checkPair(weight: Matrix, second: Matrix | null): void {
  if (isQuantised(weight.format) && weight.columns % (weight.groups?.size ?? weight.columns + 1) !== 0) {
    throw new Error(`matmul: ${weight.columns} columns are not whole groups`);
  }
  if (!second) return;
  if (second.shards.some((shard, i) => shard.firstRow !== weight.shards[i]?.firstRow))
    throw new Error('gated matmul: gate and up are sharded differently');
  const isAlike = second.format === weight.format && second.groups?.size === weight.groups?.size;
  if (!isAlike || second.groups?.zeros !== weight.groups?.zeros) {
    throw new Error(`gated matmul: gate is ${weight.format}, up is ${second.format}, or their groups differ`);
  }
}

function checkNorm(norm: FoldedNorm, columns: number): void {
  if (norm.weight.length !== columns || norm.weight.buffer.bytes < paddedColumns(columns) * 4) {
    throw new Error(`matmul: a norm of ${norm.weight.length} weights for ${columns} columns`);
  }
}

function record(context: OpContext, what: Recording): void {
  const { x, y, weight, second, numRows } = what;
  second?.shards.forEach((shard, i) => {
    if (shard.firstRow !== weight.shards[i]?.firstRow)
      throw new Error('gated matmul: gate and up are sharded differently');
  });
  checkPair(weight, second);
  if (what.norm) checkNorm(what.norm, weight.columns);
  if (takesBytes(context, weight)) {
    recordByBytes(context, { ...what, shaderParams: { ...weightParams(context, weight), ...epilogueParams(what) } });
    return;
  }
  const plan = planFor(context, weight, numRows, second !== null);
  if (what.norm && plan.kind !== 'gemv') throw new Error(`matmul: the kernel '${plan.kind}' does not fold a norm`);
  if (plan.kind === 'tile' || plan.kind === 'matrix') {
    recordManyRows(context, plan, { ...what, epilogue: epilogueParams(what) });
    return;
  }
  const shaderParams: Record<string, ParamValue> = {
    ...weightParams(context, weight),
    ...epilogueParams(what),
    NORM: what.norm !== null,
    LOAD: plan.kind === 'gemv' ? plan.load : loadChunks(weight.format, plan.kind),
    DP4A: false,
    WG: plan.wg,
    ROWS: plan.rows,
    COLS: plan.cols,
  };
  if (plan.kind === 'gemv') {
    shaderParams.SUBGROUPS = context.subgroups;
    shaderParams.UNROLL = plan.unroll;
  }
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
    if (shard.scales) buffers.scales = shard.scales;
    if (partner?.scales) buffers.scales2 = partner.scales;
    if (what.norm) buffers.norm_weight = what.norm.weight.buffer;
    const params = {
      rows: numRows,
      n: shard.rows,
      chunks: paddedColumns(weight.columns) / CHUNK,
      x_row: what.firstRow,
      x_stride: x.stride / 4,
      y_row: what.firstRow,
      y_stride: y.stride,
      y_column: shard.firstRow,
      columns: weight.columns,
      eps: what.norm?.eps ?? 0,
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
