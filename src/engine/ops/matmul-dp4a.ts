/**
 * Products of integer weights with activations as bytes, four multiplications an instruction. Lossy: only where the context asks for it.
 *
 * Owns the choice of kernel for these: whatever the number of rows x is turned into bytes, so that a row gives the same alone and
 * in a batch. Shaders: matmul-dp4a.wgsl for tiles, and matmul-gemv.wgsl and matmul-rows.wgsl with the flag DP4A.
 */

import type { ShaderName } from '../../shaders/index.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import { type OpContext, variant } from './context.ts';
import { matmulParams } from './matmul-params.ts';
import { type RowNorm, recordQuantiseRows } from './quantise-rows.ts';
import { CHUNK, isQuantised, type Matrix, type MatrixFormat, type Tensor, type Vector } from './tensor.ts';

/** Rows that one pass over the weights takes at most; more go to tiles. */
const MAX_VECTOR_ROWS = 16;
/** Rows and outputs of a tile. */
const TILE = 64;
/** Tiles are staged in halves of a block. Units: chunks. */
export const TILE_LOAD = 2;
const MAX_GROUPS_X = 65535;
/** Elements that a lane takes at a time. */
const BLOCK = 32;

/** A product, with checked shapes. */
export interface BytesProduct {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly numRows: number;
  /** First row of x to read and of y to write. */
  readonly firstRow: number;
  readonly weight: Matrix;
  /** Sharded alike, in the same format and groups. */
  readonly second: Matrix | null;
  readonly bias: Vector | null;
  readonly secondBias: Vector | null;
  /** Before the product. */
  readonly norm: RowNorm | null;
  /** What the kernels must know of the matrices and of the end of each output. */
  readonly shaderParams: Readonly<Record<string, ParamValue>>;
}

interface BytesPlan {
  readonly shader: ShaderName;
  /** Chunks of weights in one load. */
  readonly load: number;
  readonly params: Readonly<Record<string, ParamValue>>;
  /** Outputs and rows of one workgroup. */
  readonly outputs: number;
  readonly rows: number;
}

/** Whether a product with this matrix takes bytes. */
export function takesBytes(context: OpContext, weight: Matrix): boolean {
  return Boolean(context.dp4a) && isQuantised(weight.format);
}

/** Chunks in 16 bytes of integers, which a lane of the matrix-vector kernel loads at a time. */
export function vectorLoad(format: MatrixFormat): number {
  return format === 'int8' ? 2 : 4;
}

function planBytes(context: OpContext, product: BytesProduct): BytesPlan {
  const { numRows, weight, second } = product;
  if (numRows > MAX_VECTOR_ROWS && !context.software) {
    return { shader: 'matmul-dp4a.wgsl', load: TILE_LOAD, params: {}, outputs: TILE, rows: TILE };
  }
  let cols = 1;
  while (cols < numRows && cols < (context.software ? 4 : MAX_VECTOR_ROWS)) cols *= 2;
  const load = vectorLoad(weight.format);
  if (context.software) {
    const rows = second ? 2 : 4;
    return {
      shader: 'matmul-rows.wgsl',
      load,
      params: { WG: 8, ROWS: rows, COLS: cols },
      outputs: 8 * rows,
      rows: cols,
    };
  }
  const rows = second && cols === 16 ? 2 : 4;
  const wg = weight.columns <= 32 * BLOCK ? 32 : 64;
  const params = { WG: wg, ROWS: rows, COLS: cols, SUBGROUPS: context.subgroups };
  return { shader: 'matmul-gemv.wgsl', load, params, outputs: rows, rows: MAX_VECTOR_ROWS };
}

/** Records the rows as bytes, with the norm before them, and the product. Limits: room in the context for all rows. */
export function recordByBytes(context: OpContext, product: BytesProduct): void {
  const { x, y, weight, second, firstRow, numRows, norm } = product;
  const to = context.dp4a;
  if (!to) throw new Error('matmul: no room for rows as bytes');
  recordQuantiseRows(context, { x, norm, firstRow, numRows, nibbles: weight.format === 'int4', to });
  const plan = planBytes(context, product);
  const shaderParams = { ...product.shaderParams, NORM: false, LOAD: plan.load, DP4A: true, ...plan.params };
  const kernel = variant(context, plan.shader, shaderParams, matmulParams);
  weight.shards.forEach((shard, i) => {
    const partner = second?.shards[i];
    const buffers: Record<string, GpuBuffer> = { x: to.quants, x_scales: to.scales, y: y.buffer, w: shard.buffer };
    if (shard.scales) buffers.scales = shard.scales;
    if (partner) buffers.w2 = partner.buffer;
    if (partner?.scales) buffers.scales2 = partner.scales;
    if (product.bias) buffers.bias = product.bias.buffer;
    if (product.secondBias) buffers.bias2 = product.secondBias.buffer;
    const params = {
      rows: numRows,
      n: shard.rows,
      chunks: weight.columns / CHUNK,
      x_row: 0,
      x_stride: weight.columns / 16,
      y_row: firstRow,
      y_stride: y.stride,
      y_column: shard.firstRow,
      columns: weight.columns,
      eps: 0,
    };
    const groups = Math.ceil(shard.rows / plan.outputs);
    if (plan.shader === 'matmul-gemv.wgsl') {
      const width = Math.min(groups, MAX_GROUPS_X);
      context.recorder.dispatch(kernel, buffers, params, width, Math.ceil(groups / width));
    } else {
      context.recorder.dispatch(kernel, buffers, params, groups, Math.ceil(numRows / plan.rows));
    }
  });
}
