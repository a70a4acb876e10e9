/**
 * Which kernel multiplies a step's pairs (token, choice) with their experts' weights, and how many pairs make a tile: pure arithmetic.
 *
 * Few pairs are tiles of one each and need no sorting; many are sorted by expert (`moe-align.ts`) and go through tiles.
 * Next: `moe-matmul.ts` (who records).
 */
import { type MatmulAdapter, type MatrixPlan, matrixTiles } from './matmul-plan.ts';
import type { MatrixFormat } from './tensor.ts';

/** A step's pairs, and how the experts' matrices are stored. */
export interface MoeShape {
  readonly numPairs: number;
  readonly numExperts: number;
  /** Of gate and up, and of down. */
  readonly formats: readonly MatrixFormat[];
  /** All of them are multiplied with bytes (`matmul-dp4a.ts`). */
  readonly bytes?: boolean;
}

/** Tiles of f32 sums, with `dp4a` of sums of bytes; `tileRows` 1 = not sorted. */
export interface MoeFloatPlan {
  readonly kind: 'gemv' | 'rows' | 'tile' | 'dp4a';
  readonly tileRows: number;
}

/** Tiles of subgroup matrices; those of gate and up may have fewer outputs than those of down. */
export interface MoeMatrixPlan {
  readonly kind: 'matrix';
  readonly tileRows: number;
  readonly gated: MatrixPlan;
  readonly plain: MatrixPlan;
}

/** How a step's pairs are multiplied: `tileRows` pairs of one expert at a time, sorted unless that is one. */
export type MoePlan = MoeFloatPlan | MoeMatrixPlan;

/** Up to here sorting costs more than what it saves, whatever the experts. */
const MAX_UNSORTED_PAIRS = 16;
/** On a CPU, where a tile costs the same however full it is: mean pairs per expert up to which sorting does not pay. */
const SOFTWARE_UNSORTED_PER_EXPERT = 4;
/** Sizes of tiles, each with the mean number of pairs per expert up to which it is the best. */
const GEMV_TILES = [
  [4, 2],
  [8, 5],
  [16, 16],
] as const;
const SMALL_TILE_ROWS = 32;
const LARGE_TILE_ROWS = 64;
const SOFTWARE_TILE_ROWS = 4;
/** Rows that are turned into bytes at once. */
const MAX_BYTES_ROWS = 65535;
/** As include/dp4a-tile.wgsl has it. */
const DP4A_TILE_ROWS = 64;

/** Mean pairs per expert from which subgroup matrices are taken: half the experts have more, and a tile of 16 would read their weights twice. */
const MIN_MATRIX_PER_EXPERT = 16;
/**
 * As GEMV_TILES. A run of p pairs makes about p / rows + 1/2 tiles, at least one; a tile costs its multiplications and 64 of them for each
 * element that it stages, about what tensor cores do while the cache gives one. By that tiles of 32 and of 64 are even at 30 pairs, tiles of
 * 64 and of 128 at 96, for 64 outputs of a gated pair.
 */
const MATRIX_TILES = [
  [32, 30],
  [64, 96],
  [128, Number.POSITIVE_INFINITY],
] as const;

/** The smallest tile that {@link planMoe} gives where pairs are sorted. */
export const SMALLEST_TILE_ROWS = 4;

/** Picks the kernel. */
export function planMoe(shape: MoeShape, adapter: MatmulAdapter): MoePlan {
  const { numPairs, numExperts } = shape;
  if (adapter.software) {
    const isSorted = numPairs > SOFTWARE_UNSORTED_PER_EXPERT * numExperts;
    return { kind: 'rows', tileRows: isSorted ? SOFTWARE_TILE_ROWS : 1 };
  }
  // Where most experts have one pair at most, tiles are no fuller for being sorted; pairs that share an expert share it in the cache.
  if (numPairs <= Math.max(MAX_UNSORTED_PAIRS, numExperts / 2)) return { kind: 'gemv', tileRows: 1 };
  const perExpert = numPairs / numExperts;
  const byBytes = shape.bytes === true && numPairs <= MAX_BYTES_ROWS;
  const takesMatrices = perExpert >= MIN_MATRIX_PER_EXPERT && !byBytes;
  const matrix = takesMatrices ? planMatrix(shape, perExpert, adapter) : null;
  if (matrix) return matrix;
  for (const [tileRows, most] of GEMV_TILES) if (perExpert <= most) return { kind: 'gemv', tileRows };
  if (byBytes) return { kind: 'dp4a', tileRows: DP4A_TILE_ROWS };
  const isLarge = perExpert > SMALL_TILE_ROWS && tileBytes(LARGE_TILE_ROWS) <= adapter.workgroupBytes;
  return { kind: 'tile', tileRows: isLarge ? LARGE_TILE_ROWS : SMALL_TILE_ROWS };
}

/** Null where the adapter has none that fit, or weights are f32: who keeps them so wants products of f32. */
function planMatrix({ formats }: MoeShape, perExpert: number, adapter: MatmulAdapter): MoeMatrixPlan | null {
  if (formats.includes('f32')) return null;
  const wanted = MATRIX_TILES.findIndex(([, most]) => perExpert <= most);
  // A smaller tile where the wanted one does not fit.
  for (let i = wanted; i >= 0; i--) {
    const tileRows = MATRIX_TILES[i]?.[0] ?? 0;
    const [gated] = matrixTiles(tileRows, true, adapter);
    const [plain] = matrixTiles(tileRows, false, adapter);
    if (gated && plain) return { kind: 'matrix', tileRows, gated, plain };
  }
  return null;
}

/** Workgroup memory of a gated tile, as moe-matmul-tile.wgsl declares it. */
function tileBytes(rows: number): number {
  return rows * (3 * 9 * 16 + 4);
}

/** Where a step's tokens make another plan than one token fewer: each with its first number of tokens, up to `maxTokens`. */
export function moePlanChanges(
  shape: Omit<MoeShape, 'numPairs'> & { readonly topK: number },
  maxTokens: number,
  adapter: MatmulAdapter,
): { readonly tokens: number; readonly plan: MoePlan }[] {
  const changes: { tokens: number; plan: MoePlan }[] = [];
  for (let tokens = 1; tokens <= maxTokens; tokens++) {
    const plan = planMoe({ ...shape, numPairs: tokens * shape.topK }, adapter);
    const last = changes.at(-1)?.plan;
    if (plan.kind !== last?.kind || plan.tileRows !== last.tileRows) changes.push({ tokens, plan });
  }
  return changes;
}
