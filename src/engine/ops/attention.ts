/**
 * Attention over the paged cache: one description of a step's batch, split-KV kernels for its decodes and tiled ones for the rest.
 *
 * Owns the dispatches; sizes and variants are `attention-plan.ts`'s. Shaders: attention-decode.wgsl, attention-reduce.wgsl,
 * attention-prefill.wgsl, attention-prefill-matrix.wgsl. Next: `kv-cache.ts` (layout), `rope-kv.ts` (who fills the cache).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Kernel } from '../gpu/kernel.ts';
import { struct } from '../gpu/layout.ts';
import { type AttentionPlan, PREFILL_KEYS, quadsPerPart, scratchBytesPerEntry } from './attention-plan.ts';
import { type OpContext, variant } from './context.ts';
import { type CacheShape, cacheFormatCode, type LayerCache } from './kv-cache.ts';
import type { StepArray, Tensor, Vector } from './tensor.ts';

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
  /** What `planPrefillItems` gave. Shapes: [numPrefillItems][4]. */
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
  /** A score for each query head that joins the weights of every query and adds no value. Shapes: [H]. */
  readonly sinks?: Vector;
  /** ALiBi: key j's score for query i gets slope * (j - i), after scale and softcap. Shapes: [H]. */
  readonly slopes?: Vector;
  /** At least `attentionScratchBytes`, one for all layers. */
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

/** Records the attention of a layer for the whole batch. Mutates: out, scratch. Throws: Error when shapes differ. */
export function recordAttention(context: OpContext, args: AttentionArgs): void {
  const { plan, q, out, batch } = args;
  const columns = plan.numHeads * plan.shape.headDim;
  if (q.columns !== columns || out.columns !== columns || q.stride !== out.stride) {
    throw new Error(`attention: q has ${q.columns} columns and out ${out.columns}, expected ${columns}`);
  }
  for (const perHead of [args.sinks, args.slopes]) {
    if (perHead && perHead.length !== plan.numHeads) {
      throw new Error(`attention: ${perHead.length} sinks or slopes for ${plan.numHeads} heads`);
    }
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
      ...scoreVariant(args),
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
      {
        q: q.buffer,
        k: cache.k,
        v: cache.v,
        step: context.recorder.arena,
        out: out.buffer,
        scratch,
        ...scoreBuffers(args),
      },
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
      variant(
        context,
        'attention-reduce.wgsl',
        {
          D: shape.headDim,
          SPLIT: decode.splitTokens,
          SLICES: decode.reduceSlices,
          SINKS: args.sinks !== undefined,
        },
        reduceParams,
      ),
      { scratch, step: context.recorder.arena, out: out.buffer, ...(args.sinks && { sinks: args.sinks.buffer }) },
      { ...common, first_entry: first, heads: numHeads, out_stride: out.stride / 4 },
      numHeads,
      count,
    );
  }
}

function recordPrefills(context: OpContext, args: AttentionArgs): void {
  const { plan, q, out, cache, batch } = args;
  const { shape, prefill, numHeads } = plan;
  const kernel = prefillKernel(context, args);
  // The matrix kernel has no slices.
  const slice = prefill.kind === 'tiled' ? prefill.slice : shape.headDim;
  const most = context.device.limits.maxComputeWorkgroupsPerDimension;
  for (let first = 0; first < batch.numPrefillItems; first += most) {
    context.recorder.dispatch(
      kernel,
      {
        q: q.buffer,
        k: cache.k,
        v: cache.v,
        step: context.recorder.arena,
        out: out.buffer,
        ...scoreBuffers(args),
      },
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
        slices: Math.ceil(shape.headDim / slice),
        slice_vecs: slice / 4,
        scale: args.scale,
        softcap: args.softcap ?? 0,
      },
      Math.min(most, batch.numPrefillItems - first),
      shape.kvHeads,
    );
  }
}

function prefillKernel(context: OpContext, args: AttentionArgs): Kernel {
  const { shape, prefill } = args.plan;
  const common = { ...scoreVariant(args), ...cacheVariant(context, shape) };
  if (prefill.kind === 'tiled') {
    const params = {
      SLICE: prefill.slice,
      SLICES: Math.ceil(shape.headDim / prefill.slice),
      COLUMNS: Math.ceil(prefill.slice / 32),
      STAGE_Q: prefill.stageQueries,
      ...common,
    };
    return variant(context, 'attention-prefill.wgsl', params, prefillParams);
  }
  const { config, wg, rows, kSteps, nSteps } = prefill;
  const blocks = PREFILL_KEYS / config.N;
  const params = {
    MATRIX_M: config.M,
    MATRIX_N: config.N,
    MATRIX_K: config.K,
    WG: wg,
    K_STEPS: kSteps,
    N_STEPS: nSteps,
    N_BLOCKS: blocks,
    N_GROUPS: Math.ceil(nSteps / blocks),
    ROW_LANES: wg / rows,
    ...common,
  };
  return variant(context, 'attention-prefill-matrix.wgsl', params, prefillParams);
}

function cacheVariant(context: OpContext, { format, headDim }: CacheShape) {
  return { D: headDim, FORMAT: cacheFormatCode(format), F16: context.f16 && format === 'f16' };
}

function scoreVariant({ softcap, sinks, slopes }: AttentionArgs) {
  return { SOFTCAP: Boolean(softcap), SINKS: sinks !== undefined, ALIBI: slopes !== undefined };
}

function scoreBuffers({ sinks, slopes }: AttentionArgs) {
  return { ...(sinks && { sinks: sinks.buffer }), ...(slopes && { slopes: slopes.buffer }) };
}
