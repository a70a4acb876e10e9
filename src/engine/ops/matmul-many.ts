/**
 * Matrix products for more rows than the matrix-vector kernel takes: tiles in registers or of subgroup matrices, split along k where few.
 *
 * Owns what these need besides the product itself: rows packed to f16, the scales of weights, and the partial sums with their reduction.
 * Shaders: matmul-tile.wgsl, matmul-matrix.wgsl, matmul-pack.wgsl, matmul-range.wgsl, matmul-reduce.wgsl. Next: `matmul-plan.ts`.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { struct } from '../gpu/layout.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import { Recorder } from '../gpu/recorder.ts';
import { type OpContext, variant } from './context.ts';
import { MATRIX_STAGE_CHUNKS, type ManyRowsPlan, type MatrixPlan, partChunks, tileSize } from './matmul-plan.ts';
import { scratchBuffer } from './scratch.ts';
import { CHUNK, formatCode, type Matrix, type MatrixShard, paddedColumns, type Tensor, type Vector } from './tensor.ts';

/** As far as `y_column` what include/matmul.wgsl reads. */
const manyParams = struct('MatmulParams', {
  rows: 'u32',
  n: 'u32',
  chunks: 'u32',
  x_row: 'u32',
  x_stride: 'u32',
  y_row: 'u32',
  y_stride: 'u32',
  y_column: 'u32',
  part_chunks: 'u32',
  parts: 'u32',
});
const packParams = struct('PackParams', { x_row: 'u32', x_stride: 'u32', chunks: 'u32', row_words: 'u32' });
const rangeParams = struct('RangeParams', { rows: 'u32', chunks: 'u32' });

const PACK_WG = 256;
const RANGE_WG = 64;
const REDUCE_WG = 64;
const MAX_GROUPS_X = 65535;
const PACKED = 'matmul packed rows';

/** One product, with what its epilogue does as parameters of include/matmul-output.wgsl. */
export interface ManyRowsProduct {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly numRows: number;
  readonly firstRow: number;
  readonly weight: Matrix;
  readonly second: Matrix | null;
  readonly bias: Vector | null;
  readonly secondBias: Vector | null;
  readonly epilogue: Readonly<Record<'ACTIVATION' | 'GATED' | 'BIAS' | 'ACCUMULATE', ParamValue>>;
}

/** Makes room at load for rows packed to f16, so that no step allocates: `columns` of the widest x, `rows` of the largest step. */
export function reserveManyRows(context: OpContext, rows: number, columns: number): void {
  if (!context.matrix || context.software) return;
  scratchBuffer(context.device, PACKED, rows * packedRowWords(columns, MATRIX_STAGE_CHUNKS) * 16);
}

/** Records the product as planned. */
export function recordManyRows(context: OpContext, plan: ManyRowsPlan, what: ManyRowsProduct): void {
  const { x, y, weight, second, numRows, epilogue } = what;
  const isSplit = plan.parts > 1;
  const kernel = variant(
    context,
    plan.kind === 'tile' ? 'matmul-tile.wgsl' : 'matmul-matrix.wgsl',
    {
      ...epilogue,
      // Parts are sums alone; the rest is for the reduction.
      BIAS: epilogue.BIAS && !isSplit,
      ACCUMULATE: epilogue.ACCUMULATE && !isSplit,
      ...weightParams(context, weight),
      LOAD: 1,
      SPLIT: isSplit,
      ...tileParams(plan, weight),
    },
    manyParams,
  );
  const packed = plan.kind === 'matrix' ? packRows(context, plan, what) : null;
  const tile = tileSize(plan);
  weight.shards.forEach((shard, i) => {
    const partner = second?.shards[i];
    const ends: Record<string, GpuBuffer> = { y: y.buffer };
    if (what.bias) ends.bias = what.bias.buffer;
    if (what.secondBias) ends.bias2 = what.secondBias.buffer;
    const params = {
      rows: numRows,
      n: shard.rows,
      chunks: paddedColumns(weight.columns) / CHUNK,
      x_row: what.firstRow,
      x_stride: packed ? packed.rowWords : x.stride / 4,
      y_row: what.firstRow,
      y_stride: y.stride,
      y_column: shard.firstRow,
      part_chunks: partChunks(plan, weight.columns),
      parts: plan.parts,
    };
    const operands: Record<string, GpuBuffer> = { w: shard.buffer, x: packed ? packed.buffer : x.buffer };
    if (partner) operands.w2 = partner.buffer;
    if (shard.scales) operands.scales = shard.scales;
    if (partner?.scales) operands.scales2 = partner.scales;
    if (plan.kind === 'matrix' && isScaled(weight)) {
      operands.ranges = weightRanges(context, weight, shard);
      if (second && partner) operands.ranges2 = weightRanges(context, second, partner);
    }
    const [width, height] = [Math.ceil(shard.rows / tile.outputs), Math.ceil(numRows / tile.rows)];
    if (!isSplit) {
      context.recorder.dispatch(kernel, { ...operands, ...ends }, params, width, height);
      return;
    }
    const bytes = plan.parts * (second ? 2 : 1) * numRows * shard.rows * 4;
    const partials = scratchBuffer(context.device, 'matmul partial sums', bytes);
    context.recorder.dispatch(kernel, { ...operands, y: partials }, params, width, height, plan.parts);
    const reduce = variant(context, 'matmul-reduce.wgsl', { ...epilogue, WG: REDUCE_WG }, manyParams);
    context.recorder.dispatch(reduce, { ...ends, partials }, params, Math.ceil(shard.rows / REDUCE_WG), numRows);
  });
}

/** What include/matmul-weights.wgsl must know of a matrix, besides how much of it is loaded at once. */
export function weightParams(context: OpContext, { format, groups }: Matrix) {
  return {
    FORMAT: formatCode(format),
    F16: context.f16 && format === 'f16',
    GROUP: groups?.size ?? 0,
    ZEROS: groups?.zeros ?? false,
  };
}

function tileParams(plan: ManyRowsPlan, weight: Matrix): Record<string, ParamValue> {
  const shared = { ROWS: plan.blockRows, COLS: plan.blockOutputs, STAGE_CHUNKS: plan.stageChunks };
  if (plan.kind === 'tile') return { ...shared, LANES_X: plan.lanesX, LANES_Y: plan.lanesY, NORM: false, DP4A: false };
  const { M, N, K } = plan.config;
  return {
    ...shared,
    MATRIX_M: M,
    MATRIX_N: N,
    MATRIX_K: K,
    WG: plan.workgroupSize,
    SCALED: isScaled(weight),
  };
}

/** Whether weights may lie outside the range of f16. */
function isScaled(weight: Matrix): boolean {
  return weight.format !== 'f16';
}

interface PackedRows {
  readonly buffer: GpuBuffer;
  /** Units: 16 bytes. */
  readonly rowWords: number;
}

/** Units: 16 bytes; a word for the scale, and whole stages of chunks. */
function packedRowWords(columns: number, stageChunks: number): number {
  return 1 + Math.ceil(paddedColumns(columns) / CHUNK / stageChunks) * stageChunks;
}

function packRows(context: OpContext, plan: MatrixPlan, { x, firstRow, numRows, weight }: ManyRowsProduct): PackedRows {
  const rowWords = packedRowWords(weight.columns, plan.stageChunks);
  const buffer = scratchBuffer(context.device, PACKED, numRows * rowWords * 16);
  const params = {
    x_row: firstRow,
    x_stride: x.stride / 4,
    chunks: paddedColumns(weight.columns) / CHUNK,
    row_words: rowWords,
  };
  const kernel = variant(context, 'matmul-pack.wgsl', { WG: PACK_WG }, packParams);
  context.recorder.dispatch(kernel, { x: x.buffer, packed: buffer }, params, numRows);
  return { buffer, rowWords };
}

const knownRanges = new WeakMap<GpuBuffer, GpuBuffer>();
const setupRecorders = new WeakMap<GpuDevice, Recorder>();

/**
 * The powers of two that bring a shard's rows into the range of f16, computed when they are first asked for:
 * at once, in a submit of its own, because the step that asks may be dropped.
 */
function weightRanges(context: OpContext, weight: Matrix, shard: MatrixShard): GpuBuffer {
  const known = knownRanges.get(shard.buffer);
  if (known) return known;
  const { device } = context;
  // Nothing runs then, and a buffer that is never filled must not be kept.
  const ranges = device.isCollecting
    ? shard.buffer
    : device.createBuffer(`${shard.buffer.label} ranges`, shard.rows * 4);
  let recorder = setupRecorders.get(device);
  if (!recorder) {
    recorder = new Recorder(device, 0);
    setupRecorders.set(device, recorder);
  }
  const params = { ...weightParams(context, weight), LOAD: 1, GATED: false, WG: RANGE_WG };
  const kernel = variant(context, 'matmul-range.wgsl', params, rangeParams);
  const buffers: Record<string, GpuBuffer> = { w: shard.buffer, ranges };
  if (shard.scales) buffers.scales = shard.scales;
  const width = Math.min(shard.rows, MAX_GROUPS_X);
  const values = { rows: shard.rows, chunks: paddedColumns(weight.columns) / CHUNK };
  recorder.dispatch(kernel, buffers, values, width, Math.ceil(shard.rows / width));
  recorder.submit();
  if (!device.isCollecting) knownRanges.set(shard.buffer, ranges);
  return ranges;
}
