/**
 * RMS normalisation of rows, optionally of a chosen list of rows (the last norm needs only those that are sampled).
 * Shader: rms-norm.wgsl.
 */
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import type { StepArray, Tensor, Vector } from './tensor.ts';

const rmsNormParams = struct('RmsNormParams', { columns: 'u32', stride: 'u32', row_list: 'u32', eps: 'f32' });

export interface RmsNormArgs {
  readonly x: Tensor;
  /** Shapes: [x.columns]. */
  readonly weight: Vector;
  readonly y: Tensor;
  readonly numRows: number;
  /** Row of x for each row of y; null = the same row. */
  readonly rowList: StepArray | null;
  readonly eps: number;
}

/** Width of the workgroup and how it sums. An adapter that computes on the CPU gets one subgroup: its barriers cost most. */
function planRmsNorm(context: OpContext, columns: number) {
  const { subgroups, software, device } = context;
  const smallest = device.adapter.subgroupMinSize;
  if (software && device.hasSubgroups && smallest >= 4) return { WG: smallest, SUBGROUPS: true, ONE_SUBGROUP: true };
  return { WG: columns <= 512 ? 64 : 256, SUBGROUPS: subgroups, ONE_SUBGROUP: false };
}

/** Records y[t] = norm(x[rowList[t]]) * weight. Shapes: x [T, E], y [numRows, E]; both with the same stride. */
export function recordRmsNorm(context: OpContext, args: RmsNormArgs): void {
  const { x, y, weight, rowList } = args;
  if (x.stride !== y.stride || weight.length !== x.columns) throw new Error('rms norm: shapes differ');
  const gather = rowList !== null;
  const params = { ...planRmsNorm(context, x.columns), GATHER: gather };
  context.recorder.dispatch(
    variant(context, 'rms-norm.wgsl', params, rmsNormParams),
    { x: x.buffer, weight: weight.buffer, y: y.buffer, ...(gather && { step: context.recorder.arena }) },
    { columns: x.columns, stride: x.stride, row_list: rowList ?? 0, eps: args.eps },
    args.numRows,
  );
}
