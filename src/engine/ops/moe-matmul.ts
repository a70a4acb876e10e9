/**
 * Matrix products in which each pair (token, choice) is multiplied by its own expert's weights.
 *
 * Owns the recording, by a plan of `moe-plan.ts`. A matrix stacks all experts by rows; shards end between experts, or lie within one that
 * exceeds a binding: one dispatch per shard skips the pairs of others. Shaders: moe-matmul-gemv.wgsl, moe-matmul-tile.wgsl,
 * moe-matmul-matrix.wgsl, moe-matmul-dp4a.wgsl, moe-matmul-rows.wgsl.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import { struct } from '../gpu/layout.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import { type OpContext, variant } from './context.ts';
import { ACTIVATION_CODE, type Activation, checkPair, type FoldedNorm, loadChunks } from './matmul.ts';
import { TILE_LOAD, takesBytes, vectorLoad } from './matmul-dp4a.ts';
import { isScaled, matrixRanges, recordPack } from './matmul-f16.ts';
import { matrixParams } from './matmul-many.ts';
import { weightParams } from './matmul-params.ts';
import { tileSize } from './matmul-plan.ts';
import { type MoeLists, maxTiles } from './moe-align.ts';
import type { MoePlan } from './moe-plan.ts';
import type { MoeRoutes } from './moe-route.ts';
import { recordQuantiseRows } from './quantise-rows.ts';
import { CHUNK, type Matrix, type MatrixShard, paddedColumns, type Tensor } from './tensor.ts';

const moeMatmulParams = struct('MoeMatmulParams', {
  n: 'u32',
  chunks: 'u32',
  first_expert: 'u32',
  num_experts: 'u32',
  x_divisor: 'u32',
  x_stride: 'u32',
  y_stride: 'u32',
  y_column: 'u32',
  tiles_at: 'u32',
  top_k: 'u32',
  weight_stride: 'u32',
  columns: 'u32',
  eps: 'f32',
});

interface Common {
  readonly plan: MoePlan;
  readonly routes: MoeRoutes;
  /** Sorted with the plan's tiles; unused where a tile is one pair. */
  readonly lists: MoeLists;
  readonly numTokens: number;
}

export interface MoeGatedArgs extends Common {
  /** Shapes: [T, K]. */
  readonly x: Tensor;
  /** Only with plans of the matrix-vector kernel that do not sort, or where x is turned into bytes. */
  readonly norm?: FoldedNorm | null;
  /** Shapes: [numExperts N, K], both sharded alike. */
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly activation: Activation;
  /** One row per pair. Shapes: [T topK, N]. */
  readonly y: Tensor;
}

export interface MoeDownArgs extends Common {
  /** One row per pair. Shapes: [T topK, K]. */
  readonly x: Tensor;
  /** Shapes: [numExperts N, K]. */
  readonly weight: Matrix;
  /** One row per pair. Shapes: [T topK, N]. */
  readonly y: Tensor;
}

export interface MoeDownCombineArgs extends Omit<MoeDownArgs, 'lists'> {
  /** What the expert that all share gave; given with `routes.hasShared`. Shapes: [T, N]. */
  readonly shared: Tensor | null;
  /** Added to. Shapes: [T, N]. */
  readonly y: Tensor;
}

/** Records y[p] = activation(gate x) * (up x) for each pair p, with the weights of its expert and the row of its token. */
export function recordMoeGated(context: OpContext, args: MoeGatedArgs): void {
  const { gate, up, routes } = args;
  const product = { ...args, weight: gate, second: up, xDivisor: routes.topK, combine: null };
  record(context, product);
}

/** Records y[p] = weight x[p] for each pair p, with the weights of its expert. `recordMoeCombine` adds them up. */
export function recordMoeDown(context: OpContext, args: MoeDownArgs): void {
  record(context, { ...args, second: null, activation: 'silu', xDivisor: 1, combine: null });
}

/** Records y[t] += sum over the token's pairs of its weight * (expert's weight x[p]). Limits: plans that do not sort. */
export function recordMoeDownCombine(context: OpContext, args: MoeDownCombineArgs): void {
  const { plan, shared, routes } = args;
  if (plan.tileRows !== 1) throw new Error('moe: sorted pairs are combined by an op of its own');
  if (Boolean(shared) !== routes.hasShared) throw new Error('moe: a shared expert and its weight go together');
  const lists = { buffer: routes.ids, tilesAt: 0 };
  record(context, { ...args, lists, second: null, activation: 'silu', xDivisor: 1, combine: { shared } });
}

interface Recording extends Common {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly weight: Matrix;
  readonly second: Matrix | null;
  readonly activation: Activation;
  readonly xDivisor: number;
  readonly norm?: FoldedNorm | null;
  readonly combine: { readonly shared: Tensor | null } | null;
}

/** Elements that a lane takes at a time. */
const BYTES_BLOCK = 32;

const SHADER = {
  gemv: 'moe-matmul-gemv.wgsl',
  rows: 'moe-matmul-rows.wgsl',
  tile: 'moe-matmul-tile.wgsl',
  matrix: 'moe-matmul-matrix.wgsl',
  dp4a: 'moe-matmul-dp4a.wgsl',
} as const;

/** Whether the product takes x as bytes. Tiles of floats do not, where only one of a mixture's matrices would. */
function isByBytes(context: OpContext, { plan, weight }: Recording): boolean {
  return takesBytes(context, weight) && plan.kind !== 'tile' && plan.kind !== 'matrix';
}

/** Outputs of one workgroup, and the parameters that a kernel's shader declares; always in the same order. */
function kernelShape(context: OpContext, what: Recording): { outputs: number; params: Record<string, ParamValue> } {
  const { plan, weight, second, combine } = what;
  const { kind, tileRows } = plan;
  const byBytes = isByBytes(context, what);
  const params: Record<string, ParamValue> = {
    ...weightParams(context, weight),
    ACTIVATION: second ? ACTIVATION_CODE[what.activation] : 0,
    GATED: second !== null,
    PAIRS: tileRows === 1,
    NORM: Boolean(what.norm) && !byBytes,
    LOAD: byBytes || kind === 'dp4a' ? vectorLoad(weight.format) : loadChunks(weight.format, kind),
    DP4A: byBytes,
    PACKED: kind === 'matrix',
  };
  if (kind === 'dp4a') return { outputs: tileRows, params: { ...params, LOAD: TILE_LOAD } };
  if (kind === 'matrix') {
    const tile = second ? plan.gated : plan.plain;
    return { outputs: tileSize(tile).outputs, params: { ...params, ...matrixParams(tile, weight) } };
  }
  if (kind === 'tile') return { outputs: tileRows, params: { ...params, SIDE: tileRows / 4 } };
  const isSoftware = kind === 'rows';
  const rows = second && (isSoftware || tileRows >= 8) ? 2 : 4;
  const wg = isSoftware ? 8 : weight.columns <= 32 * (byBytes ? BYTES_BLOCK : CHUNK) ? 32 : 64;
  params.WG = wg;
  params.ROWS = rows;
  params.COLS = tileRows;
  if (!isSoftware) params.SUBGROUPS = context.subgroups;
  params.COMBINE = combine !== null;
  return { outputs: isSoftware ? wg * rows : rows, params };
}

/** Which experts a shard holds, and which rows of each. */
export function expertsOf(
  shard: MatrixShard,
  rowsPerExpert: number,
): { first: number; count: number; firstRow: number; rows: number } {
  const first = Math.floor(shard.firstRow / rowsPerExpert);
  const firstRow = shard.firstRow - first * rowsPerExpert;
  if (firstRow === 0 && shard.rows % rowsPerExpert === 0) {
    return { first, count: shard.rows / rowsPerExpert, firstRow, rows: rowsPerExpert };
  }
  if (firstRow + shard.rows > rowsPerExpert) throw new Error('moe: a shard ends within an expert and began in another');
  return { first, count: 1, firstRow, rows: shard.rows };
}

/** x as the kernel takes it, with what else it reads of it. */
interface Input {
  readonly buffers: Readonly<Record<string, GpuBuffer>>;
  /** Units: 16 bytes. */
  readonly stride: number;
}

/** Records the packing or the quantisation of x, where the kernel needs either. */
function recordInput(context: OpContext, what: Recording): Input {
  const { x, plan, weight, norm } = what;
  const rows = { x, firstRow: 0, numRows: (what.numTokens * what.routes.topK) / what.xDivisor };
  if (isByBytes(context, what)) {
    const to = context.dp4a;
    if (!to) throw new Error('moe: no room for rows as bytes');
    recordQuantiseRows(context, { ...rows, norm: norm ?? null, nibbles: weight.format === 'int4', to });
    return { buffers: { x: to.quants, x_scales: to.scales }, stride: weight.columns / 16 };
  }
  if (plan.kind === 'dp4a') throw new Error(`moe: ${weight.format} is not multiplied with bytes`);
  if (norm && (plan.kind !== 'gemv' || plan.tileRows !== 1)) throw new Error('moe: this plan does not fold a norm');
  if (plan.kind === 'matrix') {
    const { buffer, rowWords } = recordPack(context, { ...rows, columns: weight.columns });
    return { buffers: { x: buffer }, stride: rowWords };
  }
  return { buffers: { x: x.buffer, ...(norm && { norm_weight: norm.weight.buffer }) }, stride: x.stride / 4 };
}

function record(context: OpContext, what: Recording): void {
  const { x, y, weight, second, routes, plan, combine, lists } = what;
  const { numExperts, topK } = routes;
  const numPairs = what.numTokens * topK;
  const rowsPerExpert = weight.rows / numExperts;
  if (weight.columns !== x.columns || !Number.isInteger(rowsPerExpert) || rowsPerExpert > y.columns) {
    throw new Error(`moe: [${weight.rows}, ${weight.columns}] of ${numExperts} experts does not take ${x.columns}`);
  }
  checkPair(weight, second);
  const { outputs, params } = kernelShape(context, what);
  const input = recordInput(context, what);
  const tiles = plan.tileRows === 1 ? numPairs : maxTiles(numPairs, numExperts, plan.tileRows);
  weight.shards.forEach((shard, i) => {
    const partner = second?.shards[i];
    if (second && partner?.firstRow !== shard.firstRow) throw new Error('moe: gate and up are sharded differently');
    const buffers: Record<string, GpuBuffer> = {
      ...input.buffers,
      ...{ w: shard.buffer, y: y.buffer },
      lists: plan.tileRows === 1 ? routes.ids : lists.buffer,
    };
    if (partner) buffers.w2 = partner.buffer;
    if (shard.scales) buffers.scales = shard.scales;
    if (partner?.scales) buffers.scales2 = partner.scales;
    if (plan.kind === 'matrix' && isScaled(weight)) {
      buffers.ranges = matrixRanges(context, weight, shard);
      if (second && partner) buffers.ranges2 = matrixRanges(context, second, partner);
    }
    const experts = expertsOf(shard, rowsPerExpert);
    const withRest = { ...params };
    if (combine) {
      buffers.route_weights = routes.weights;
      // Several shards add to the same outputs, each what its experts gave; the shared expert comes once for each output.
      const shared = experts.first === 0 ? combine.shared : null;
      if (shared) buffers.shared_rows = shared.buffer;
      withRest.SHARED = shared !== null;
    }
    const kernel = variant(context, SHADER[plan.kind], withRest, moeMatmulParams);
    const values = {
      n: experts.rows,
      chunks: paddedColumns(weight.columns) / CHUNK,
      first_expert: experts.first,
      num_experts: experts.count,
      x_divisor: what.xDivisor,
      x_stride: input.stride,
      y_stride: y.stride,
      y_column: experts.firstRow,
      tiles_at: lists.tilesAt,
      top_k: topK,
      weight_stride: topK + (routes.hasShared ? 1 : 0),
      columns: weight.columns,
      eps: what.norm?.eps ?? 0,
    };
    const width = combine ? what.numTokens : tiles;
    context.recorder.dispatch(kernel, buffers, values, width, Math.ceil(experts.rows / outputs));
  });
}
