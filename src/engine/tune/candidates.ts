/**
 * The sizes of the matrix-vector kernel that are worth measuring on an adapter, and in which order.
 *
 * Owns what fits (registers, workgroup memory, the size of a workgroup) and the two steps of the search: first rows and lanes, with the
 * unrolling that the planner would choose for them, then unrolling and loads for the best of these. All of them at once would be
 * a hundred kernels to compile for each shape. Pure functions. Next: `autotune.ts`.
 */
import { type GemvShape, gemvBytes, gemvUnroll, takesWideLoads, wideLoad } from '../ops/gemv-plan.ts';
import { CHUNK, paddedColumns, storedBytes } from '../ops/tensor.ts';
import type { GemvSizes } from '../ops/tuned-plans.ts';

const WORKGROUP_SIZES = [32, 64, 128, 256];
const OUTPUT_ROWS = [1, 2, 4, 8];
const UNROLLS = [1, 2, 4];
/** Sums that one invocation keeps at most: beyond, registers spill on every adapter. */
const MAX_SUMS = 64;
/** Weights that one invocation has loaded at most: 64 registers. Units: bytes. */
const MAX_LOADED = 256;
/** From so many rows of x on steps are not unrolled: the registers are those of the sums. */
const MANY_COLS = 8;

/** What bounds the sizes. */
export interface CandidateLimits {
  readonly subgroups: boolean;
  /** Units: bytes. */
  readonly workgroupBytes: number;
  readonly maxWorkgroupSize: number;
}

/** Rows and lanes to try instead of those of `from`, the likeliest first. */
export function gemvCandidates(shape: GemvShape, from: GemvSizes, limits: CandidateLimits): GemvSizes[] {
  const chunks = paddedColumns(shape.columns) / CHUNK;
  const all = WORKGROUP_SIZES.flatMap((wg) =>
    OUTPUT_ROWS.map((rows) => ({ wg, rows, unroll: gemvUnroll(shape, { wg, rows, load: 1 }), load: 1 })),
  );
  const steps = ({ wg, rows }: GemvSizes) => Math.abs(Math.log2(wg / from.wg)) + Math.abs(Math.log2(rows / from.rows));
  return all
    .filter((sizes) => steps(sizes) > 0 && sizes.wg <= Math.max(chunks, from.wg) && gemvFits(sizes, shape, limits))
    .toSorted((a, b) => steps(a) - steps(b));
}

/** Unrolling and loads to try instead of those of `from`, with its rows and lanes. */
export function gemvRefinements(shape: GemvShape, from: GemvSizes, limits: CandidateLimits): GemvSizes[] {
  const chunks = paddedColumns(shape.columns) / CHUNK;
  const loads = takesWideLoads(shape) ? [1, wideLoad(shape.format)] : [1];
  const all = loads.flatMap((load) => UNROLLS.map((unroll) => ({ ...from, unroll, load })));
  const isNew = ({ unroll, load }: GemvSizes) => unroll !== from.unroll || load !== from.load;
  const isFilled = ({ wg, unroll, load }: GemvSizes) => wg * unroll * load <= chunks;
  return all.filter((sizes) => isNew(sizes) && isFilled(sizes) && gemvFits(sizes, shape, limits));
}

/** Whether a kernel of these sizes can be made. Its memory is that of the shader, with the sums of a norm, whether it has one or not. */
export function gemvFits(sizes: GemvSizes, shape: GemvShape, limits: CandidateLimits): boolean {
  const { wg, rows, unroll, load } = sizes;
  const { cols, gated, format } = shape;
  if (!WORKGROUP_SIZES.includes(wg) || !OUTPUT_ROWS.includes(rows) || !UNROLLS.includes(unroll)) return false;
  if (load !== 1 && !(takesWideLoads(shape) && load === wideLoad(format) && unroll <= 2)) return false;
  if (unroll > 1 && cols >= MANY_COLS) return false;
  const sets = gated ? 2 : 1;
  const loaded = unroll * load * rows * sets * CHUNK * storedBytes(format);
  if (rows * cols * sets > MAX_SUMS || (unroll > 1 && loaded > MAX_LOADED)) return false;
  return wg <= limits.maxWorkgroupSize && gemvBytes(sizes, shape, limits.subgroups) <= limits.workgroupBytes;
}
