/**
 * The sizes of the matrix-vector kernel that are worth measuring on an adapter.
 *
 * Owns what fits: registers, workgroup memory and the size of a workgroup. A pure function. Next: `autotune.ts`.
 */
import type { GemvSizes, TunedKind } from '../ops/tuned-plans.ts';

const WORKGROUP_SIZES = [32, 64, 128, 256];
const OUTPUT_ROWS = [2, 4, 8];
/** Sums that one invocation keeps at most: beyond, registers spill on every adapter. */
const MAX_SUMS = 64;
/** The narrowest subgroup: so many partial sums of one workgroup are left at least. */
const MIN_SUBGROUP = 4;

/** What bounds the sizes. */
export interface CandidateLimits {
  readonly subgroups: boolean;
  /** Units: bytes. */
  readonly workgroupBytes: number;
  readonly maxWorkgroupSize: number;
}

/** Sizes that fit, for a kernel that takes `rows` rows of x. */
export function gemvCandidates(kind: TunedKind, rows: number, limits: CandidateLimits): GemvSizes[] {
  const all = WORKGROUP_SIZES.flatMap((wg) => OUTPUT_ROWS.map((outputs) => ({ wg, rows: outputs })));
  return all.filter((sizes) => gemvFits(sizes, kind, rows, limits));
}

/** Whether a kernel of these sizes can be made. Its memory is that of the shader, with the sums of a norm, whether it has one or not. */
export function gemvFits(sizes: GemvSizes, kind: TunedKind, rows: number, limits: CandidateLimits): boolean {
  const sums = sizes.rows * rows * (kind === 'gated-gemv' ? 2 : 1);
  const parts = limits.subgroups ? sizes.wg / MIN_SUBGROUP : sizes.wg;
  const bytes = (sums + rows) * parts * 4;
  return sums <= MAX_SUMS && sizes.wg <= limits.maxWorkgroupSize && bytes <= limits.workgroupBytes;
}
