/**
 * Which kernel computes a matrix product, and in what tiles: pure arithmetic over the shape and what the adapter offers.
 *
 * Few rows go to the matrix-vector kernel, more to tiles in registers, or to subgroup matrices where the adapter has them; adapters
 * that compute on the CPU have a kernel of their own. Owns every size that this takes, but for those in `gemv-plan.ts`.
 * Next: `matmul.ts` and `matmul-many.ts`, which record.
 */
import type { MatrixConfig } from '../gpu/binding.ts';
import { planGemv } from './gemv-plan.ts';
import { CHUNK, type MatrixFormat, paddedColumns } from './tensor.ts';
import type { GemvSizes } from './tuned-plans.ts';

/** One product: `rows` of x times a matrix [n, columns], or two of them with `gated`. */
export interface MatmulShape {
  readonly rows: number;
  readonly n: number;
  readonly columns: number;
  readonly gated: boolean;
  readonly format: MatrixFormat;
}

/** What the planner must know of the adapter. */
export interface MatmulAdapter {
  /** Computes on the CPU. */
  readonly software: boolean;
  /** Units: bytes. */
  readonly workgroupBytes: number;
  /** f16 operands with f32 sums; null = none to be used. */
  readonly matrix: MatrixConfig | null;
  /** Largest size of a subgroup, with `matrix`. */
  readonly subgroupMaxSize: number;
}

/** A tile of `tileRows` by `tileOutputs`, computed by lanes that keep blocks of sums in registers. */
export interface TilePlan {
  readonly kind: 'tile';
  /** Lanes along rows and along outputs. */
  readonly lanesY: number;
  readonly lanesX: number;
  /** One lane's block: rows and outputs. */
  readonly blockRows: number;
  readonly blockOutputs: number;
  /** Chunks of 8 elements along k that are staged at once. */
  readonly stageChunks: number;
  /** Workgroups that share the sum of one tile, each over its part of k; 1 = not split. */
  readonly parts: number;
}

/** A tile computed by 2 x 2 subgroups, each with `blockRows` x `blockOutputs` subgroup matrices. */
export interface MatrixPlan {
  readonly kind: 'matrix';
  readonly config: MatrixConfig;
  readonly workgroupSize: number;
  readonly blockRows: number;
  readonly blockOutputs: number;
  readonly stageChunks: number;
  readonly parts: number;
}

export type ManyRowsPlan = TilePlan | MatrixPlan;

export type MatmulPlan =
  | ({ readonly kind: 'gemv'; readonly cols: number } & GemvSizes)
  | { readonly kind: 'rows'; readonly wg: number; readonly rows: number; readonly cols: number }
  | ManyRowsPlan;

/** Rows that the matrix-vector kernel takes at most: beyond, weights are better staged once per tile. */
export const MAX_GEMV_ROWS = 16;

/** Up to here one tile holds all rows, so that each weight is read once. */
const MAX_SKINNY_ROWS = 64;
/** Fewer workgroups than this leave parts of a large GPU idle: then a tile's sum is split. WebGPU does not tell the number of cores. */
const MIN_GROUPS = 128;
/** A larger tile is taken where it leaves this many: two for each core, so that one computes while the other waits. */
const ROOMY_GROUPS = 256;
/** Split products aim at this many. */
const SPLIT_GROUPS = 256;
/** A part shorter than this costs more to add up than it wins. Units: elements of k. */
const MIN_PART_COLUMNS = 256;
const MAX_PARTS = 16;

/** Units: chunks of 8 elements: 32 along k, a whole number of every known subgroup matrix. */
export const MATRIX_STAGE_CHUNKS = 4;
const SUBGROUPS_PER_SIDE = 2;
/** Rows and outputs of a tile, and for how many rows of x it is taken; largest first. */
const MATRIX_TILES = [
  [128, 128, 65, Number.POSITIVE_INFINITY],
  [128, 64, 65, Number.POSITIVE_INFINITY],
  [64, 64, 33, Number.POSITIVE_INFINITY],
  [64, 32, 33, Number.POSITIVE_INFINITY],
  [32, 64, 0, 32],
  [32, 32, 0, 32],
] as const;
/** What every adapter has. */
const MAX_WORKGROUP_SIZE = 256;
/** Sums that a lane keeps at most before registers spill. */
const MAX_SUMS_PER_LANE = 128;

/** Picks the kernel for a shape. */
export function planMatmul(shape: MatmulShape, adapter: MatmulAdapter): MatmulPlan {
  const { rows, gated } = shape;
  let cols = 1;
  while (cols < rows && cols < MAX_GEMV_ROWS) cols *= 2;
  // A block of 4 x 4 sums is what a CPU's registers hold.
  if (adapter.software) return { kind: 'rows', wg: 8, rows: gated ? 2 : 4, cols: Math.min(cols, 4) };
  if (rows > MAX_GEMV_ROWS) return planMatrix(shape, adapter) ?? planTile(shape, adapter);
  return { kind: 'gemv', cols, ...planGemv({ ...shape, cols }, adapter.workgroupBytes) };
}

/** Rows and outputs of one workgroup's tile. */
export function tileSize(plan: ManyRowsPlan): { rows: number; outputs: number } {
  if (plan.kind === 'tile') {
    return { rows: plan.lanesY * plan.blockRows, outputs: plan.lanesX * plan.blockOutputs };
  }
  return {
    rows: SUBGROUPS_PER_SIDE * plan.blockRows * plan.config.M,
    outputs: SUBGROUPS_PER_SIDE * plan.blockOutputs * plan.config.N,
  };
}

/** Chunks of k that one part covers, in whole stages. */
export function partChunks(plan: ManyRowsPlan, columns: number): number {
  const chunks = paddedColumns(columns) / CHUNK;
  return Math.ceil(chunks / plan.stageChunks / plan.parts) * plan.stageChunks;
}

function planTile(shape: MatmulShape, adapter: MatmulAdapter): TilePlan {
  const fits = tileCandidates(shape.rows).filter((plan) => tileBytes(plan, shape.gated) <= adapter.workgroupBytes);
  const smallest = fits[fits.length - 1] ?? tile(8, 8, 4, 4, 4);
  const chosen = fits.find((plan) => numGroups(plan, shape) >= ROOMY_GROUPS) ?? smallest;
  return { ...chosen, parts: partsFor(chosen, shape) };
}

/** Largest first. */
function tileCandidates(rows: number): TilePlan[] {
  if (rows > MAX_SKINNY_ROWS) return [tile(16, 16, 8, 4, 4), tile(16, 16, 4, 4, 4)];
  // As many rows as there are, in steps of 16. A long stage hides the latency of the weights, which nobody else reads.
  const blockRows = Math.ceil(rows / 16) * 2;
  return [tile(8, 16, blockRows, 4, blockRows > 6 ? 4 : 8)];
}

function tile(lanesY: number, lanesX: number, blockRows: number, blockOutputs: number, stageChunks: number): TilePlan {
  return { kind: 'tile', lanesY, lanesX, blockRows, blockOutputs, stageChunks, parts: 1 };
}

/** Workgroup memory of a tile, as matmul-tile.wgsl declares it. */
function tileBytes(plan: TilePlan, gated: boolean): number {
  const { rows, outputs } = tileSize(plan);
  return (rows + outputs * (gated ? 2 : 1)) * (plan.stageChunks * 2 + 1) * 16;
}

/** Tiles of subgroup matrices with so many rows that the adapter can compute, those with most outputs first. */
export function matrixTiles(tileRows: number, gated: boolean, adapter: MatmulAdapter): MatrixPlan[] {
  const { matrix, subgroupMaxSize, workgroupBytes } = adapter;
  if (!matrix) return [];
  return MATRIX_TILES.filter(([rows]) => rows === tileRows)
    .map(
      ([rows, outputs]): MatrixPlan => ({
        kind: 'matrix',
        config: matrix,
        workgroupSize: subgroupMaxSize * SUBGROUPS_PER_SIDE ** 2,
        blockRows: rows / SUBGROUPS_PER_SIDE / matrix.M,
        blockOutputs: outputs / SUBGROUPS_PER_SIDE / matrix.N,
        stageChunks: MATRIX_STAGE_CHUNKS,
        parts: 1,
      }),
    )
    .filter((plan) => isComputable(plan, gated, workgroupBytes));
}

/** Null where the adapter has none that fits, or the weights are f32: who keeps them so wants products of f32. */
function planMatrix(shape: MatmulShape, adapter: MatmulAdapter): MatrixPlan | null {
  if (shape.format === 'f32') return null;
  const sizes = new Set(
    MATRIX_TILES.filter(([, , from, to]) => shape.rows >= from && shape.rows <= to).map(([rows]) => rows),
  );
  const fits = [...sizes].flatMap((rows) => matrixTiles(rows, shape.gated, adapter));
  const roomy = fits.find((plan) => tileSize(plan).rows > MAX_SKINNY_ROWS && numGroups(plan, shape) >= ROOMY_GROUPS);
  // Where even small tiles are few, the sums are split: a tile of 64 outputs reads less for that than one of 32, which is for small subgroups.
  const chosen = roomy ?? fits.find((plan) => tileSize(plan).rows <= MAX_SKINNY_ROWS) ?? fits[0];
  return chosen ? { ...chosen, parts: partsFor(chosen, shape) } : null;
}

function isComputable(plan: MatrixPlan, gated: boolean, workgroupBytes: number): boolean {
  const { config, blockRows, blockOutputs, workgroupSize } = plan;
  const counts = [blockRows, blockOutputs, (plan.stageChunks * CHUNK) / config.K, config.K / CHUNK];
  if (counts.some((count) => count < 1 || !Number.isInteger(count))) return false;
  if (workgroupSize < 1 || workgroupSize > MAX_WORKGROUP_SIZE) return false;
  const { rows, outputs } = tileSize(plan);
  const sets = gated ? 2 : 1;
  if ((rows * outputs * sets) / workgroupSize > MAX_SUMS_PER_LANE) return false;
  const staged = (rows + outputs * sets) * (plan.stageChunks + 1) * 16;
  const written = SUBGROUPS_PER_SIDE * config.M * outputs * sets * 4;
  return Math.max(staged, written) <= workgroupBytes;
}

function numGroups(plan: ManyRowsPlan, shape: MatmulShape): number {
  const { rows, outputs } = tileSize(plan);
  return Math.ceil(shape.rows / rows) * Math.ceil(shape.n / outputs);
}

/** In how many parts to sum a tile; none of them is empty. */
function partsFor(plan: ManyRowsPlan, shape: MatmulShape): number {
  const groups = numGroups(plan, shape);
  if (groups >= MIN_GROUPS) return 1;
  const most = Math.min(Math.ceil(SPLIT_GROUPS / groups), Math.floor(shape.columns / MIN_PART_COLUMNS), MAX_PARTS);
  const stages = Math.ceil(paddedColumns(shape.columns) / CHUNK / plan.stageChunks);
  return Math.ceil(stages / Math.ceil(stages / Math.max(1, most)));
}
