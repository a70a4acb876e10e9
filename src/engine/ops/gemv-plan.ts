/**
 * Sizes of the matrix-vector kernel: what is taken where nothing was measured, and what a kernel of given sizes needs.
 *
 * Owns the arithmetic of loads in flight, lanes and workgroup memory; it must not know who records. A pure function of shape and adapter.
 * Next: `matmul-plan.ts` (who asks first), `../tune/candidates.ts` (what is tried instead), matmul-gemv.wgsl (the kernel).
 */
import { CHUNK, isQuantised, type MatrixFormat, paddedColumns, storedBytes } from './tensor.ts';
import type { GemvSizes } from './tuned-plans.ts';

/** A product by the matrix-vector kernel: `cols` rows of x at a time times a matrix [n, columns], or two of them with `gated`. */
export interface GemvShape {
  readonly n: number;
  readonly columns: number;
  readonly gated: boolean;
  readonly format: MatrixFormat;
  /** Shapes: rows of x, a power of two. */
  readonly cols: number;
}

/** A card of 130 cores has two workgroups for each then: one computes while the other waits. */
const ROOMY_GROUPS = 256;
/** Lanes that keep such a card's memory busy: 16 warps of 32 for each core. */
const ROOMY_LANES = 65536;
const MAX_WORKGROUP_SIZE = 256;
/**
 * Weights that a lane has on their way. With the lanes above this is 8 MB, three times what memory of 5 TB/s gives in 0.6 us, its
 * latency: enough where not all lanes find room at once. Eight loads of 16 bytes are 32 registers. Units: bytes.
 */
const BYTES_IN_FLIGHT = 128;
const UNROLLS = [4, 2];
const LOAD_BYTES = 16;
/** From so many rows of x on, the registers are wanted for sums. */
const MANY_COLS = 8;
const MIN_SUBGROUP = 4;

/** Picks sizes by reasoning. Units of `workgroupBytes`: bytes of workgroup memory that the device offers. */
export function planGemv(shape: GemvShape, workgroupBytes: number): GemvSizes {
  const { n, columns, gated, cols } = shape;
  const chunks = paddedColumns(columns) / CHUNK;
  // Few outputs are given to more workgroups. Several rows of x are read again for each output: there at least two or four share them.
  const least = Math.min(cols, 4);
  let rows = gated && cols === 16 ? 2 : 4;
  while (rows > least && Math.ceil(n / rows) < ROOMY_GROUPS) rows /= 2;
  let wg = chunks <= 32 ? 32 : 64;
  // Where these are still few, each sum is shared by more lanes, as long as a lane has two chunks to load at once.
  const canGrow = (to: number) =>
    to <= MAX_WORKGROUP_SIZE &&
    chunks >= 2 * to &&
    gemvBytes({ wg: to, rows, unroll: 1, load: 1 }, shape, false) <= workgroupBytes / 2;
  while (cols <= 2 && Math.ceil(n / rows) * wg < ROOMY_LANES && canGrow(wg * 2)) wg *= 2;
  return { wg, rows, unroll: gemvUnroll(shape, { wg, rows, load: 1 }), load: 1 };
}

/** Steps along k to load at once, so that enough weights are on their way and the registers last. */
export function gemvUnroll(shape: GemvShape, { wg, rows, load }: Omit<GemvSizes, 'unroll'>): number {
  const { columns, gated, format, cols } = shape;
  if (cols >= MANY_COLS) return 1;
  const chunks = paddedColumns(columns) / CHUNK;
  const bytes = rows * (gated ? 2 : 1) * load * CHUNK * storedBytes(format);
  return UNROLLS.find((unroll) => unroll * bytes <= BYTES_IN_FLIGHT && unroll * wg * load <= chunks) ?? 1;
}

/** Chunks of weights in a load of 16 bytes; 1 where a chunk has so many. */
export function wideLoad(format: MatrixFormat): number {
  return isQuantised(format) ? LOAD_BYTES / (CHUNK * storedBytes(format)) : 1;
}

/** Whether the kernel can take x by wide loads of weights: it then copies x into workgroup memory. */
export function takesWideLoads({ format, cols }: Pick<GemvShape, 'format' | 'cols'>): boolean {
  return wideLoad(format) > 1 && cols <= 2;
}

/** Workgroup memory of a kernel, as matmul-gemv.wgsl declares it with a norm. Units: bytes. */
export function gemvBytes(
  { wg, rows, unroll, load }: GemvSizes,
  { gated, cols }: Pick<GemvShape, 'gated' | 'cols'>,
  subgroups: boolean,
): number {
  const sums = (rows * (gated ? 2 : 1) + 1) * cols;
  const staged = load > 1 ? cols * wg * unroll * load * CHUNK : 0;
  return (sums * (subgroups ? wg / MIN_SUBGROUP : wg) + staged) * 4;
}
