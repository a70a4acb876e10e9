/**
 * Rows of activations as signed bytes, which products with integer weights take in place of floats: lossy, and so only where
 * the context asks for it. Shader: quantise-rows.wgsl. Next: `matmul.ts` (who records it, with the norm before a product folded in).
 */
import type { GpuDevice } from '../gpu/device.ts';
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import type { QuantisedRows, Tensor, Vector } from './tensor.ts';

const quantiseRowsParams = struct('QuantiseRowsParams', { blocks: 'u32', x_row: 'u32', x_stride: 'u32', eps: 'f32' });

/** Elements that share a scale. */
const BLOCK = 32;
/** A scale and a sum. */
const SCALE_BYTES = 8;

/** Allocates room for so many rows of the widest matrix. */
export function allocateQuantisedRows(device: GpuDevice, rows: number, columns: number): QuantisedRows {
  const blocks = rows * Math.ceil(columns / BLOCK);
  return {
    quants: device.createBuffer('quantised rows', blocks * BLOCK),
    scales: device.createBuffer('scales of quantised rows', blocks * SCALE_BYTES),
  };
}

/** An rms norm of rows. */
export interface RowNorm {
  /** Shapes: [columns]. */
  readonly weight: Vector;
  readonly eps: number;
}

export interface QuantiseRowsArgs {
  readonly x: Tensor;
  /** Quantise the rms norm of the rows instead. */
  readonly norm: RowNorm | null;
  readonly firstRow: number;
  readonly numRows: number;
  /** In the order that nibbles unpack to. */
  readonly nibbles: boolean;
  readonly to: QuantisedRows;
}

/** Records the quantisation of `numRows` rows of x. Limits: whole blocks of columns; room for all rows. */
export function recordQuantiseRows(context: OpContext, args: QuantiseRowsArgs): void {
  const { x, norm, numRows, to } = args;
  const blocks = x.columns / BLOCK;
  if (!Number.isInteger(blocks)) throw new Error(`quantise rows: ${x.columns} columns are not whole blocks`);
  if (numRows * blocks * BLOCK > to.quants.bytes) throw new Error(`quantise rows: no room for ${numRows} rows`);
  // With the norm a row is one workgroup's, and each lane adds up several elements before it takes a block.
  const wg = norm && blocks > 64 ? 256 : 64;
  const params = { WG: wg, NORM: norm !== null, NIBBLES: args.nibbles };
  context.recorder.dispatch(
    variant(
      context,
      'quantise-rows.wgsl',
      norm ? { ...params, SUBGROUPS: context.subgroups } : params,
      quantiseRowsParams,
    ),
    { x: x.buffer, quants: to.quants, scales: to.scales, ...(norm && { norm_weight: norm.weight.buffer }) },
    { blocks, x_row: args.firstRow, x_stride: x.stride / 4, eps: norm?.eps ?? 0 },
    norm ? 1 : Math.ceil(blocks / wg),
    numRows,
  );
}
