/**
 * Matrix products for more rows than the matrix-vector kernel takes: tiles in registers or of subgroup matrices, split along k where few.
 *
 * Owns the partial sums with their reduction. Shaders: matmul-tile.wgsl, matmul-matrix.wgsl, matmul-reduce.wgsl.
 * Next: `matmul-plan.ts`, `matmul-f16.ts` (the operands of subgroup matrices).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import { struct } from '../gpu/layout.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import { type OpContext, variant } from './context.ts';
import { isScaled, matrixRanges, recordPack } from './matmul-f16.ts';
import { weightParams } from './matmul-params.ts';
import { type ManyRowsPlan, type MatrixPlan, partChunks, tileSize } from './matmul-plan.ts';
import { scratchBuffer } from './scratch.ts';
import { CHUNK, type Matrix, paddedColumns, type Tensor, type Vector } from './tensor.ts';

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

const REDUCE_WG = 64;

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
  const packed = plan.kind === 'matrix' ? recordPack(context, { ...what, columns: weight.columns }) : null;
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
      operands.ranges = matrixRanges(context, weight, shard);
      if (second && partner) operands.ranges2 = matrixRanges(context, second, partner);
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

function tileParams(plan: ManyRowsPlan, weight: Matrix): Record<string, ParamValue> {
  if (plan.kind === 'tile') {
    const { blockRows: ROWS, blockOutputs: COLS, stageChunks: STAGE_CHUNKS } = plan;
    return { ROWS, COLS, STAGE_CHUNKS, LANES_X: plan.lanesX, LANES_Y: plan.lanesY, NORM: false, DP4A: false };
  }
  return matrixParams(plan, weight);
}

/** What the shaders with subgroup matrices must know of a tile and of a matrix. */
export function matrixParams(plan: MatrixPlan, weight: Matrix): Record<string, ParamValue> {
  const { M, N, K } = plan.config;
  return {
    ROWS: plan.blockRows,
    COLS: plan.blockOutputs,
    STAGE_CHUNKS: plan.stageChunks,
    MATRIX_M: M,
    MATRIX_N: N,
    MATRIX_K: K,
    WG: plan.workgroupSize,
    SCALED: isScaled(weight),
  };
}
