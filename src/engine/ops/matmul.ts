/**
 * Matrix products with packed weights: y = x W^T, with bias, accumulation or a gated pair in the epilogue.
 *
 * Owns the choice between the matrix-vector kernel (up to 16 rows), the tiled one, and the one for software adapters. Weights larger than one binding are
 * sharded by rows: one dispatch per shard writes its columns of y. Shaders: matmul-gemv.wgsl, matmul-tile.wgsl, matmul-rows.wgsl.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import { struct } from '../gpu/layout.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import { type OpContext, variant } from './context.ts';
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

/** Rows that the matrix-vector kernel takes at most: beyond, weights are better staged once per tile. */
export const MAX_GEMV_ROWS = 16;
const MAX_GROUPS_X = 65535;
/** Up to here a tile of 32 rows wastes less than one of 64. */
const SMALL_TILE_ROWS = 32;

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

export type MatmulPlan =
  | { readonly kind: 'gemv'; readonly wg: number; readonly rows: number; readonly cols: number }
  | { readonly kind: 'rows'; readonly wg: number; readonly rows: number; readonly cols: number }
  | { readonly kind: 'tile'; readonly side: number };

/** Picks the kernel for a shape; `software` for adapters that compute on the CPU. */
export function planMatmul(
  numRows: number,
  columns: number,
  gated: boolean,
  software: boolean,
  workgroupBytes: number,
): MatmulPlan {
  let cols = 1;
  while (cols < numRows && cols < MAX_GEMV_ROWS) cols *= 2;
  // A block of 4 x 4 sums is what a CPU's registers hold.
  if (software) return { kind: 'rows', wg: 8, rows: gated ? 2 : 4, cols: Math.min(cols, 4) };
  if (numRows > MAX_GEMV_ROWS) {
    const isLarge = numRows > SMALL_TILE_ROWS && tileBytes(16, gated) <= workgroupBytes;
    return { kind: 'tile', side: isLarge ? 16 : 8 };
  }
  return { kind: 'gemv', wg: columns <= 32 * CHUNK ? 32 : 64, rows: gated && cols === 16 ? 2 : 4, cols };
}

/** Workgroup memory of the tiled kernel, as matmul-tile.wgsl declares it. */
function tileBytes(side: number, gated: boolean): number {
  return (gated ? 3 : 2) * side * 4 * 9 * 16;
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

const SHADER = { gemv: 'matmul-gemv.wgsl', rows: 'matmul-rows.wgsl', tile: 'matmul-tile.wgsl' } as const;

/** The parameters that a kernel's shader declares; always in the same order. */
function shaderParams(context: OpContext, plan: MatmulPlan, what: Recording): Record<string, ParamValue> {
  const { weight, second } = what;
  const params: Record<string, ParamValue> = {
    FORMAT: formatCode(weight.format),
    F16: context.f16 && weight.format === 'f16',
    ACTIVATION: second ? ACTIVATION_CODE[what.activation] : 0,
    GATED: second !== null,
    BIAS: what.bias !== null,
    ACCUMULATE: what.accumulate,
  };
  if (plan.kind === 'tile') {
    params.SIDE = plan.side;
    return params;
  }
  params.WG = plan.wg;
  params.ROWS = plan.rows;
  params.COLS = plan.cols;
  if (plan.kind === 'gemv') params.SUBGROUPS = context.subgroups;
  return params;
}

function record(context: OpContext, what: Recording): void {
  const { x, y, weight, second, numRows } = what;
  const { limits } = context.device;
  const gated = second !== null;
  const plan = planMatmul(numRows, weight.columns, gated, context.software, limits.maxComputeWorkgroupStorageSize);
  const kernel = variant(context, SHADER[plan.kind], shaderParams(context, plan, what), matmulParams);
  weight.shards.forEach((shard, i) => {
    const partner = second?.shards[i];
    if (partner && partner.firstRow !== shard.firstRow)
      throw new Error('gated matmul: gate and up are sharded differently');
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
    } else if (plan.kind === 'rows') {
      const outputs = plan.wg * plan.rows;
      const width = Math.ceil(shard.rows / outputs);
      context.recorder.dispatch(kernel, buffers, params, width, Math.ceil(numRows / plan.cols));
    } else {
      const tile = plan.side * 4;
      context.recorder.dispatch(kernel, buffers, params, Math.ceil(shard.rows / tile), Math.ceil(numRows / tile));
    }
  });
}
