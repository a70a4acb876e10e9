/**
 * Attention over the paged cache: one description of a step's batch, split-KV kernels for its decodes and tiled ones for the rest.
 *
 * Owns the choice of tiles and splits (`planAttention`, made once at load so that a query's result never depends on the
 * batch around it) and the work items of prefills. Shaders: attention-decode.wgsl, attention-reduce.wgsl, attention-prefill.wgsl.
 * Next: `kv-cache.ts` (layout), `rope-kv.ts` (who fills the cache).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { GpuDevice } from '../gpu/device.ts';
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import { assertCacheShape, type CacheShape, type LayerCache } from './kv-cache.ts';
import { formatCode, type StepArray, type Tensor } from './tensor.ts';

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
  readonly subgroups: boolean;
}

export interface PrefillPlan {
  /** Elements of a head that are staged at a time. */
  readonly slice: number;
  /** Whether the queries are staged, too, or read through the cache. */
  readonly stageQueries: boolean;
}

/** A step's entries; the arrays were uploaded once and serve all layers. Entries 0 to numDecodes - 1 have one token, at the row of their index. */
export interface AttentionBatch {
  readonly numDecodes: number;
  /** Tokens in the cache after this step. Shapes: [S]. */
  readonly contextLength: StepArray;
  /** Shapes: [S][blockTableStride]. */
  readonly blockTables: StepArray;
  readonly blockTableStride: number;
  /** The longest context among the decodes, or more. */
  readonly maxContext: number;
  /** What {@link planPrefillItems} gave. Shapes: [numPrefillItems][4]. */
  readonly prefillItems: StepArray;
  readonly numPrefillItems: number;
}

export interface AttentionArgs {
  readonly plan: AttentionPlan;
  /** Shapes: [T, H D]. */
  readonly q: Tensor;
  /** Shapes: [T, H D]. */
  readonly out: Tensor;
  readonly cache: LayerCache;
  readonly batch: AttentionBatch;
  /** Multiplier on q k^T. */
  readonly scale: number;
  /** Key j is seen by query i when i - window < j <= i; null = all up to i. */
  readonly window: number | null;
  /** Scores become softcap * tanh(score / softcap); 0 or absent = off. */
  readonly softcap?: number;
  /** At least {@link attentionScratchBytes}, one for all layers. */
  readonly scratch: GpuBuffer;
}

const decodeParams = struct('AttentionDecodeParams', {
  first_entry: 'u32',
  group: 'u32',
  kv_heads: 'u32',
  head_chunks: 'u32',
  q_stride: 'u32',
  block_shift: 'u32',
  context_length: 'u32',
  block_tables: 'u32',
  block_table_stride: 'u32',
  window: 'u32',
  max_splits: 'u32',
  // Bounds of loops: known when compiling, but a software adapter takes seconds to compile them unrolled.
  wg: 'u32',
  chunks: 'u32',
  slices: 'u32',
  scale: 'f32',
  softcap: 'f32',
});

const reduceParams = struct('AttentionReduceParams', {
  first_entry: 'u32',
  heads: 'u32',
  out_stride: 'u32',
  context_length: 'u32',
  window: 'u32',
  max_splits: 'u32',
});

const prefillParams = struct('AttentionPrefillParams', {
  first_item: 'u32',
  group: 'u32',
  kv_heads: 'u32',
  q_stride: 'u32',
  block_shift: 'u32',
  items: 'u32',
  context_length: 'u32',
  block_tables: 'u32',
  block_table_stride: 'u32',
  window: 'u32',
  // As in the decode: bounds of loops that are not to be unrolled.
  side: 'u32',
  slices: 'u32',
  slice_vecs: 'u32',
  scale: 'f32',
  softcap: 'f32',
});

/** Rows of one prefill item: query tokens times the heads of a group, flattened. The shader's tile. */
export const PREFILL_ROWS = 32;
/** Words of one prefill item: entry, first flattened row, token row of the entry's first query, that query's position. */
export const PREFILL_ITEM_WORDS = 4;

const PREFILL_KEYS = 32;
const MAX_DECODE_HEADS = 16;
const HEADS_PER_PART = 8;
/** Scratch beyond this buys nothing: decodes are then recorded in several rounds. Units: bytes. */
const MAX_SCRATCH_BYTES = 64 * 2 ** 20;
const MAX_WORKGROUP_BYTES = 32768;
const VEC4_BYTES = 16;

/** Chooses variants for a model's attention. Throws: Error when no variant fits the device. */
export function planAttention(
  device: Pick<GpuDevice, 'limits' | 'adapter'>,
  shape: CacheShape,
  numHeads: number,
  subgroups: boolean,
): AttentionPlan {
  assertCacheShape(shape);
  const group = numHeads / shape.kvHeads;
  if (!Number.isInteger(group)) throw new Error(`${numHeads} query heads do not divide among ${shape.kvHeads}`);
  const budget = Math.min(device.limits.maxComputeWorkgroupStorageSize, MAX_WORKGROUP_BYTES);
  return {
    numHeads,
    shape,
    decode: planDecode(shape.headDim, group, subgroups, device.adapter.isSoftware, budget),
    prefill: planPrefill(shape.headDim, budget),
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
  // Barriers are what costs a software adapter: the fewer invocations meet at one, the better.
  const sizes = isSoftware ? [16, 32, 64] : subgroups ? [128, 64] : [64];
  for (let chunks = Math.ceil(group / MAX_DECODE_HEADS); chunks <= group; chunks++) {
    const heads = Math.ceil(group / chunks);
    const parts = Math.ceil(heads / HEADS_PER_PART);
    for (const wg of sizes) {
      const plan = { wg, heads, parts, splitTokens, subgroups };
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
function quadsPerPart(heads: number, parts: number): number {
  return Math.ceil(Math.ceil(heads / 4) / parts);
}

function planPrefill(headDim: number, budget: number): PrefillPlan {
  for (const stageQueries of [true, false]) {
    for (const slice of headDim <= 96 ? [headDim, 64, 32] : [64, 32]) {
      const plan = { slice: Math.min(slice, headDim), stageQueries };
      if (prefillWorkgroupBytes(plan, headDim) <= budget) return plan;
    }
  }
  throw new Error(`head size ${headDim} needs more workgroup memory than ${budget} bytes`);
}

/** Sizes as attention-prefill.wgsl declares them. */
function prefillWorkgroupBytes({ slice, stageQueries }: PrefillPlan, headDim: number): number {
  const tile = PREFILL_KEYS * (slice / 4 + 1);
  const scores = PREFILL_ROWS * (PREFILL_KEYS / 4 + 1);
  const queries = stageQueries ? PREFILL_ROWS * (headDim / 4 + 1) : 0;
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
function scratchBytesPerEntry(plan: AttentionPlan, splits: number): number {
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
  const numTiles = (entry: number) => Math.ceil((numQueries(entry) * group) / PREFILL_ROWS);
  let total = 0;
  for (let entry = numDecodes; entry < numSequences; entry++) total += numTiles(entry);
  const items = new Uint32Array(total * PREFILL_ITEM_WORDS);
  let at = 0;
  for (let entry = numDecodes; entry < numSequences; entry++) {
    const firstPosition = (contextLength[entry] ?? 0) - numQueries(entry);
    for (let tile = numTiles(entry) - 1; tile >= 0; tile--) {
      items[at++] = entry;
      items[at++] = tile * PREFILL_ROWS;
      items[at++] = queryStart[entry] ?? 0;
      items[at++] = firstPosition;
    }
  }
  return items;
}

/** Records the attention of a layer for the whole batch. Mutates: out, scratch. Throws: Error when shapes differ. */
export function recordAttention(context: OpContext, args: AttentionArgs): void {
  const { plan, q, out, batch } = args;
  const columns = plan.numHeads * plan.shape.headDim;
  if (q.columns !== columns || out.columns !== columns || q.stride !== out.stride) {
    throw new Error(`attention: q has ${q.columns} columns and out ${out.columns}, expected ${columns}`);
  }
  if (batch.numDecodes > 0) recordDecodes(context, args);
  if (batch.numPrefillItems > 0) recordPrefills(context, args);
}

function recordDecodes(context: OpContext, args: AttentionArgs): void {
  const { plan, q, out, cache, batch, scratch } = args;
  const { shape, decode, numHeads } = plan;
  const group = numHeads / shape.kvHeads;
  const headChunks = Math.ceil(group / decode.heads);
  const reach = args.window === null ? batch.maxContext : Math.min(batch.maxContext, args.window);
  const splits = Math.ceil(reach / decode.splitTokens);
  const kernel = variant(
    context,
    'attention-decode.wgsl',
    {
      WG: decode.wg,
      HEADS: decode.heads,
      PARTS: decode.parts,
      PART_QUADS: quadsPerPart(decode.heads, decode.parts),
      MERGED: Math.min(decode.heads, 4),
      SPLIT: decode.splitTokens,
      D: shape.headDim,
      SOFTCAP: Boolean(args.softcap),
      SUBGROUPS: decode.subgroups,
      ...cacheVariant(context, shape),
    },
    decodeParams,
  );
  const common = {
    context_length: batch.contextLength,
    window: args.window ?? 0,
    max_splits: splits,
  };
  const fitting = Math.floor(scratch.bytes / scratchBytesPerEntry(plan, splits));
  const perRound = splits > 1 ? Math.min(batch.numDecodes, fitting) : batch.numDecodes;
  if (perRound === 0) throw new Error(`attention: ${scratch.bytes} bytes of scratch do not hold ${splits} splits`);
  for (let first = 0; first < batch.numDecodes; first += perRound) {
    const count = Math.min(perRound, batch.numDecodes - first);
    context.recorder.dispatch(
      kernel,
      { q: q.buffer, k: cache.k, v: cache.v, step: context.recorder.arena, out: out.buffer, scratch },
      {
        ...common,
        first_entry: first,
        group,
        kv_heads: shape.kvHeads,
        head_chunks: headChunks,
        q_stride: q.stride / 4,
        block_shift: Math.log2(shape.blockSize),
        block_tables: batch.blockTables,
        block_table_stride: batch.blockTableStride,
        wg: decode.wg,
        chunks: shape.headDim / 8,
        slices: Math.floor(decode.wg / ((shape.headDim / 8) * decode.parts)),
        scale: args.scale,
        softcap: args.softcap ?? 0,
      },
      shape.kvHeads * headChunks,
      count,
      splits,
    );
    if (splits === 1) continue;
    context.recorder.dispatch(
      variant(context, 'attention-reduce.wgsl', { D: shape.headDim, SPLIT: decode.splitTokens }, reduceParams),
      { scratch, step: context.recorder.arena, out: out.buffer },
      { ...common, first_entry: first, heads: numHeads, out_stride: out.stride / 4 },
      numHeads,
      count,
    );
  }
}

function recordPrefills(context: OpContext, args: AttentionArgs): void {
  const { plan, q, out, cache, batch } = args;
  const { shape, prefill, numHeads } = plan;
  const kernel = variant(
    context,
    'attention-prefill.wgsl',
    {
      D: shape.headDim,
      SLICE: prefill.slice,
      SLICES: Math.ceil(shape.headDim / prefill.slice),
      COLUMNS: Math.ceil(prefill.slice / 32),
      STAGE_Q: prefill.stageQueries,
      SOFTCAP: Boolean(args.softcap),
      ...cacheVariant(context, shape),
    },
    prefillParams,
  );
  const most = context.device.limits.maxComputeWorkgroupsPerDimension;
  for (let first = 0; first < batch.numPrefillItems; first += most) {
    context.recorder.dispatch(
      kernel,
      { q: q.buffer, k: cache.k, v: cache.v, step: context.recorder.arena, out: out.buffer },
      {
        first_item: first,
        group: numHeads / shape.kvHeads,
        kv_heads: shape.kvHeads,
        q_stride: q.stride / 4,
        block_shift: Math.log2(shape.blockSize),
        items: batch.prefillItems,
        context_length: batch.contextLength,
        block_tables: batch.blockTables,
        block_table_stride: batch.blockTableStride,
        window: args.window ?? 0,
        side: 8,
        slices: Math.ceil(shape.headDim / prefill.slice),
        slice_vecs: prefill.slice / 4,
        scale: args.scale,
        softcap: args.softcap ?? 0,
      },
      Math.min(most, batch.numPrefillItems - first),
      shape.kvHeads,
    );
  }
}

function cacheVariant(context: OpContext, shape: CacheShape) {
  return { FORMAT: formatCode(shape.format), F16: context.f16 && shape.format === 'f16' };
}
