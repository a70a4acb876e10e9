/**
 * The operands of subgroup matrices: rows packed to f16, and the powers of two that bring weights into its range.
 *
 * Owns the room for packed rows, one product's at a time, and the ranges of each matrix, which are computed once.
 * Shaders: matmul-pack.wgsl, matmul-range.wgsl. Next: `matmul-many.ts` and `moe-matmul.ts` (who multiply them).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { struct } from '../gpu/layout.ts';
import { Recorder } from '../gpu/recorder.ts';
import { type OpContext, variant } from './context.ts';
import { weightParams } from './matmul-params.ts';
import { MATRIX_STAGE_CHUNKS } from './matmul-plan.ts';
import { scratchBuffer } from './scratch.ts';
import { CHUNK, type Matrix, type MatrixShard, paddedColumns, type Tensor } from './tensor.ts';

const packParams = struct('PackParams', {
  rows: 'u32',
  x_row: 'u32',
  x_stride: 'u32',
  chunks: 'u32',
  row_words: 'u32',
});
const rangeParams = struct('RangeParams', { rows: 'u32', chunks: 'u32' });

const PACK_WG = 256;
const RANGE_WG = 64;
const MAX_GROUPS_X = 65535;
const PACKED = 'matmul packed rows';

/** Rows of activations that a product may pack. */
export interface PackedShape {
  readonly rows: number;
  readonly columns: number;
}

/** Makes room at load for rows packed to f16, so that no step allocates: for the largest of these products. */
export function reservePackedRows(context: OpContext, shapes: readonly PackedShape[]): void {
  if (!context.matrix || context.software) return;
  scratchBuffer(context.device, PACKED, Math.max(...shapes.map(packedBytes)));
}

/** What packed rows take. Units: bytes. */
function packedBytes({ rows, columns }: PackedShape): number {
  return rows * packedRowWords(columns) * 16;
}

/** Units: 16 bytes; a word for the scale, and whole stages of chunks. */
function packedRowWords(columns: number): number {
  return 1 + Math.ceil(paddedColumns(columns) / CHUNK / MATRIX_STAGE_CHUNKS) * MATRIX_STAGE_CHUNKS;
}

export interface PackedRows {
  readonly buffer: GpuBuffer;
  /** Units: 16 bytes. */
  readonly rowWords: number;
}

export interface PackArgs {
  readonly x: Tensor;
  readonly firstRow: number;
  readonly numRows: number;
  readonly columns: number;
}

/** Records the packing of rows of x. The result lasts until the next packing. */
export function recordPack(context: OpContext, { x, firstRow, numRows, columns }: PackArgs): PackedRows {
  const rowWords = packedRowWords(columns);
  const buffer = scratchBuffer(context.device, PACKED, packedBytes({ rows: numRows, columns }));
  const params = {
    rows: numRows,
    x_row: firstRow,
    x_stride: x.stride / 4,
    chunks: paddedColumns(columns) / CHUNK,
    row_words: rowWords,
  };
  const kernel = variant(context, 'matmul-pack.wgsl', { WG: PACK_WG }, packParams);
  const width = Math.min(numRows, MAX_GROUPS_X);
  context.recorder.dispatch(kernel, { x: x.buffer, packed: buffer }, params, width, Math.ceil(numRows / width));
  return { buffer, rowWords };
}

/** Whether weights may lie outside the range of f16. */
export function isScaled(weight: Matrix): boolean {
  return weight.format !== 'f16';
}

const knownRanges = new WeakMap<GpuBuffer, GpuBuffer>();
const setupRecorders = new WeakMap<GpuDevice, Recorder>();

/**
 * The powers of two that bring a shard's rows into the range of f16, computed when they are first asked for:
 * at once, in a submit of its own, because the step that asks may be dropped.
 */
export function matrixRanges(context: OpContext, weight: Matrix, shard: MatrixShard): GpuBuffer {
  const known = knownRanges.get(shard.buffer);
  if (known) return known;
  const { device } = context;
  const params = { ...weightParams(context, weight), LOAD: 1, GATED: false, WG: RANGE_WG };
  const kernel = variant(context, 'matmul-range.wgsl', params, rangeParams);
  // Nothing runs while kernels are collected: ranges kept now would stay zeros. No dispatch looks at its buffers then.
  if (device.isCollecting) return shard.buffer;
  const ranges = device.createBuffer(`${shard.buffer.label} ranges`, shard.rows * 4);
  let recorder = setupRecorders.get(device);
  if (!recorder) {
    recorder = new Recorder(device, 0);
    setupRecorders.set(device, recorder);
  }
  const buffers: Record<string, GpuBuffer> = { w: shard.buffer, ranges };
  if (shard.scales) buffers.scales = shard.scales;
  const width = Math.min(shard.rows, MAX_GROUPS_X);
  const values = { rows: shard.rows, chunks: paddedColumns(weight.columns) / CHUNK };
  recorder.dispatch(kernel, buffers, values, width, Math.ceil(shard.rows / width));
  recorder.submit();
  knownRanges.set(shard.buffer, ranges);
  return ranges;
}
