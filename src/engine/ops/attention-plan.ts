/**
 * What attention runs with on a device: tiles, splits, scratch, and the work items of prefills.
 *
 * Owns the choices, made once at load so that a query's result never depends on the batch around it; pure arithmetic.
 * Next: `attention.ts` (records by the plan), attention-decode.wgsl and attention-prefill.wgsl (declare the sizes reckoned here).
 */
import type { MatrixConfig } from '../gpu/binding.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { assertCacheShape, type CacheShape } from './kv-cache.ts';
import { CHUNK } from './tensor.ts';

/** Variants and sizes for one model on one device. */
export interface AttentionPlan {
  readonly numHeads: number;
  readonly shape: CacheShape;
  readonly decode: DecodePlan;
  readonly prefill: PrefillPlan;
}

export interface DecodePlan {
  /** Invocations. */
  readonly wg: number;
  /** Query heads of one workgroup: the whole group unless it is very large. */
  readonly heads: number;
  /** Shares of those heads that different lanes sum the values for, to bound the registers. */
  readonly parts: number;
  /** Keys of one workgroup. Limits: a multiple of the block size. */
  readonly splitTokens: number;
  /** Shares of a context's splits that are combined side by side. */
  readonly reduceSlices: number;
  readonly subgroups: boolean;
}

/** Query rows in tiles of products in registers, f32 throughout. */
export interface TiledPrefillPlan {
  readonly kind: 'tiled';
  /** Rows of one item: query tokens times the heads of a group, flattened. */
  readonly rows: number;
  /** Elements of a head that are staged at a time. */
  readonly slice: number;
  /** Whether the queries are staged, too, or read through the cache. */
  readonly stageQueries: boolean;
}

/** Query rows by subgroup matrices: operands in f16, sums in f32. */
export interface MatrixPrefillPlan {
  readonly kind: 'matrix';
  readonly rows: number;
  readonly config: MatrixConfig;
  /** Invocations. */
  readonly wg: number;
  /** Matrices that a head fills along K and along N. */
  readonly kSteps: number;
  readonly nSteps: number;
}

export type PrefillPlan = TiledPrefillPlan | MatrixPrefillPlan;

/** Words of one prefill item: entry, first flattened row, token row of the entry's first query, that query's position. */
export const PREFILL_ITEM_WORDS = 4;

/** Rows of the tiled shader. */
const TILED_ROWS = 32;
/** Keys that both shaders stage at a time. */
export const PREFILL_KEYS = 32;
/** Subgroups of the matrix shader, each with a matrix of rows. */
const MATRIX_SUBGROUPS = 4;
const MAX_ROW_LANES = 4;
const MAX_DECODE_HEADS = 16;
const HEADS_PER_PART = 8;
/** Scratch beyond this buys nothing: decodes are then recorded in several rounds. Units: bytes. */
const MAX_SCRATCH_BYTES = 64 * 2 ** 20;
/** Invocations that combine a head's splits: a long context has hundreds, and one after the other would be a chain of loads. */
const REDUCE_LANES = 256;
const MAX_WORKGROUP_BYTES = 32768;
const VEC4_BYTES = 16;

/**
 * Chooses variants for a model's attention; `matrix`: subgroup matrices to use where they fit; null on
 * adapters that compute on the CPU, where they gain nothing. Throws: Error when no variant fits the device.
 */
export function planAttention(
  device: Pick<GpuDevice, 'limits' | 'adapter'>,
  shape: CacheShape,
  numHeads: number,
  subgroups: boolean,
  matrix: MatrixConfig | null = null,
): AttentionPlan {
  assertCacheShape(shape);
  const group = numHeads / shape.kvHeads;
  if (!Number.isInteger(group)) throw new Error(`${numHeads} query heads do not divide among ${shape.kvHeads}`);
  const budget = Math.min(device.limits.maxComputeWorkgroupStorageSize, MAX_WORKGROUP_BYTES);
  return {
    numHeads,
    shape,
    decode: planDecode(shape.headDim, group, subgroups, device.adapter.isSoftware, budget),
    prefill: planMatrixPrefill(device.adapter, shape, matrix, budget) ?? planTiledPrefill(shape.headDim, budget),
  };
}

function planDecode(
  headDim: number,
  group: number,
  subgroups: boolean,
  isSoftware: boolean,
  budget: number,
): DecodePlan {
  // Short splits fill a large GPU from few sequences; a software adapter has few cores to fill.
  const splitTokens = isSoftware ? 256 : 128;
  const reduceSlices = isSoftware ? 1 : Math.max(1, Math.floor(REDUCE_LANES / (headDim / 4)));
  // Barriers are what costs a software adapter: the fewer invocations meet at one, the better.
  const sizes = isSoftware ? [16, 32, 64] : subgroups ? [128, 64] : [64];
  for (let chunks = Math.ceil(group / MAX_DECODE_HEADS); chunks <= group; chunks++) {
    const heads = Math.ceil(group / chunks);
    const parts = Math.ceil(heads / HEADS_PER_PART);
    for (const wg of sizes) {
      const plan = { wg, heads, parts, splitTokens, reduceSlices, subgroups };
      const summing = (headDim / 8) * parts;
      if (summing <= wg && decodeWorkgroupBytes(plan, headDim) <= budget) return plan;
    }
  }
  throw new Error(`head size ${headDim} needs more workgroup memory than ${budget} bytes`);
}

/** Sizes as attention-decode.wgsl declares them. */
function decodeWorkgroupBytes({ wg, heads, parts, splitTokens, subgroups }: DecodePlan, headDim: number): number {
  const quads = quadsPerPart(heads, parts) * parts;
  const queries = heads * (headDim / 4);
  const pool = Math.max(splitTokens * quads, wg * 2 * Math.min(heads, 4));
  const partials = 2 * quads * (subgroups ? wg / 4 : wg);
  return (queries + pool + partials + 2 * quads) * VEC4_BYTES + (splitTokens / 8 + 1) * 4;
}

/** Heads travel in vec4s: four heads are a quad. */
export function quadsPerPart(heads: number, parts: number): number {
  return Math.ceil(Math.ceil(heads / 4) / parts);
}

/** Null where matrices do not fit, or the cache is f32: who keeps it so wants products of f32. */
function planMatrixPrefill(
  adapter: GpuDevice['adapter'],
  { format, headDim }: CacheShape,
  config: MatrixConfig | null,
  budget: number,
): MatrixPrefillPlan | null {
  if (!config || format === 'f32') return null;
  const { M, N, K } = config;
  const rowLanes = adapter.subgroupMaxSize / M;
  const counts = [K / CHUNK, N / CHUNK, PREFILL_KEYS / K, PREFILL_KEYS / N, (MATRIX_SUBGROUPS * M) / PREFILL_KEYS];
  if (counts.some((count) => count < 1 || !Number.isInteger(count))) return null;
  if (![1, 2, MAX_ROW_LANES].includes(rowLanes)) return null;
  const step = Math.max(K, N);
  const padded = Math.ceil(headDim / step) * step;
  const plan: MatrixPrefillPlan = {
    kind: 'matrix',
    rows: MATRIX_SUBGROUPS * M,
    config,
    wg: MATRIX_SUBGROUPS * adapter.subgroupMaxSize,
    kSteps: padded / K,
    nSteps: padded / N,
  };
  return matrixWorkgroupBytes(plan) <= budget ? plan : null;
}

/** Sizes as attention-prefill-matrix.wgsl declares them. */
function matrixWorkgroupBytes({ rows, kSteps, config }: MatrixPrefillPlan): number {
  const tile = PREFILL_KEYS * ((kSteps * config.K) / CHUNK + 1) * VEC4_BYTES;
  const scores = rows * (PREFILL_KEYS + 4) * 4;
  const weights = rows * (PREFILL_KEYS / CHUNK + 1) * VEC4_BYTES;
  return tile + scores + weights + VEC4_BYTES;
}

function planTiledPrefill(headDim: number, budget: number): TiledPrefillPlan {
  for (const stageQueries of [true, false]) {
    for (const slice of headDim <= 96 ? [headDim, 64, 32] : [64, 32]) {
      const plan = { kind: 'tiled', rows: TILED_ROWS, slice: Math.min(slice, headDim), stageQueries } as const;
      if (tiledWorkgroupBytes(plan, headDim) <= budget) return plan;
    }
  }
  throw new Error(`head size ${headDim} needs more workgroup memory than ${budget} bytes`);
}

/** Sizes as attention-prefill.wgsl declares them. */
function tiledWorkgroupBytes({ slice, stageQueries }: TiledPrefillPlan, headDim: number): number {
  const tile = PREFILL_KEYS * (slice / 4 + 1);
  const scores = TILED_ROWS * (PREFILL_KEYS / 4 + 1);
  const queries = stageQueries ? TILED_ROWS * (headDim / 4 + 1) : 0;
  return (tile + scores + 64 + queries) * VEC4_BYTES;
}

/** What the scratch buffer must hold for decodes of up to `maxContext` tokens. Units: bytes. */
export function attentionScratchBytes(plan: AttentionPlan, maxDecodes: number, maxContext: number): number {
  const splits = Math.ceil(maxContext / plan.decode.splitTokens);
  if (splits <= 1) return VEC4_BYTES;
  const perEntry = scratchBytesPerEntry(plan, splits);
  return Math.min(maxDecodes * perEntry, Math.max(perEntry, MAX_SCRATCH_BYTES));
}

/** A partial result is a row of D sums with its maximum and its sum of weights. */
export function scratchBytesPerEntry(plan: AttentionPlan, splits: number): number {
  return plan.numHeads * splits * (plan.shape.headDim / 4 + 1) * VEC4_BYTES;
}

/** What {@link planPrefillItems} reads of a step's arrays. */
export interface PrefillEntries {
  readonly numDecodes: number;
  readonly numSequences: number;
  readonly queryStart: ArrayLike<number>;
  readonly contextLength: ArrayLike<number>;
}

/**
 * The work of all entries that are not decodes, cut into tiles. Shapes: [numPrefillItems][PREFILL_ITEM_WORDS].
 * An entry's last tile comes first: it sees the most keys, and long work that starts early leaves no tail.
 */
export function planPrefillItems(entries: PrefillEntries, plan: AttentionPlan): Uint32Array {
  const { numDecodes, numSequences, queryStart, contextLength } = entries;
  const group = plan.numHeads / plan.shape.kvHeads;
  const numQueries = (entry: number) => (queryStart[entry + 1] ?? 0) - (queryStart[entry] ?? 0);
  const { rows } = plan.prefill;
  const numTiles = (entry: number) => Math.ceil((numQueries(entry) * group) / rows);
  let total = 0;
  for (let entry = numDecodes; entry < numSequences; entry++) total += numTiles(entry);
  const items = new Uint32Array(total * PREFILL_ITEM_WORDS);
  let at = 0;
  for (let entry = numDecodes; entry < numSequences; entry++) {
    const firstPosition = (contextLength[entry] ?? 0) - numQueries(entry);
    for (let tile = numTiles(entry) - 1; tile >= 0; tile--) {
      items[at++] = entry;
      items[at++] = tile * rows;
      items[at++] = queryStart[entry] ?? 0;
      items[at++] = firstPosition;
    }
  }
  return items;
}
