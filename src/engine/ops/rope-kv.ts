/**
 * Splits packed q, k, v rows: norms and rotates q and k, hands q on and writes k and v into the paged cache.
 *
 * One dispatch for all heads of all tokens. The table of cosines and sines comes from `models/rope-table.ts`.
 * Shader: rope-kv.wgsl. Next: `attention.ts`.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import { assertCacheShape, type CacheShape, cacheFormatCode, type LayerCache } from './kv-cache.ts';
import type { StepArray, Tensor, Vector } from './tensor.ts';

const ropeKvParams = struct('RopeKvParams', {
  heads: 'u32',
  kv_heads: 'u32',
  dims: 'u32',
  qkv_stride: 'u32',
  q_stride: 'u32',
  block_shift: 'u32',
  num_slots: 'u32',
  positions: 'u32',
  slots: 'u32',
  // Bounds of loops: known when compiling, but a software adapter takes seconds to compile them unrolled.
  fours: 'u32',
  lanes: 'u32',
  eps: 'f32',
});

/** A rotation that is ready for kernels. */
export interface RopeTable {
  /** f32 pairs (cos, sin). Shapes: [maxPositions][dims / 2][2]. */
  readonly buffer: GpuBuffer;
  readonly style: 'half' | 'interleaved';
  /** Rotated dimensions at the front of each head; the rest passes through. Limits: even, at most D. */
  readonly dims: number;
}

export interface RopeKvArgs {
  /** Shapes: [T, (H + 2 G) D], columns q | k | v. */
  readonly qkv: Tensor;
  /** Shapes: [T, H D]. */
  readonly q: Tensor;
  readonly cache: LayerCache;
  readonly shape: CacheShape;
  /** H. */
  readonly numHeads: number;
  readonly numTokens: number;
  /** Shapes: [T]. */
  readonly positions: StepArray;
  /** block * B + offset for each token; a number beyond the cache (NO_SLOT) keeps nothing. Shapes: [T]. */
  readonly slots: StepArray;
  /** null = no positions. */
  readonly rope: RopeTable | null;
  /** RMS norm over each head of q and k before the rotation. Shapes: q and k [D]. */
  readonly norm: { readonly q: Vector; readonly k: Vector; readonly eps: number } | null;
}

const ROTATION_CODE = { half: 1, interleaved: 2 } as const;
const WG = 64;

/** Records q, and k and v into the cache's slots. Mutates: q, cache. Throws: Error when shapes differ. */
export function recordRopeKv(context: OpContext, args: RopeKvArgs): void {
  const { qkv, q, cache, shape, numHeads, rope, norm } = args;
  const { headDim, kvHeads } = shape;
  assertCacheShape(shape);
  if (qkv.columns !== (numHeads + 2 * kvHeads) * headDim || q.columns !== numHeads * headDim) {
    throw new Error(`rope-kv: ${qkv.columns} and ${q.columns} columns do not hold ${numHeads}+${kvHeads} heads`);
  }
  if (rope && (rope.dims % 2 !== 0 || rope.dims > headDim))
    throw new Error(`rope-kv: cannot rotate ${rope.dims} dimensions`);
  // A lane moves four neighbours, so that a packed word has one writer.
  const lanes = headDim <= 64 ? 16 : 32;
  const headsPerGroup = WG / lanes;
  const kernel = variant(
    context,
    'rope-kv.wgsl',
    {
      LANES: lanes,
      HEADS: headsPerGroup,
      ROTATION: rope ? ROTATION_CODE[rope.style] : 0,
      NORM: norm !== null,
      D: headDim,
      FORMAT: cacheFormatCode(shape.format),
    },
    ropeKvParams,
  );
  context.recorder.dispatch(
    kernel,
    {
      step: context.recorder.arena,
      qkv: qkv.buffer,
      q: q.buffer,
      k: cache.k,
      v: cache.v,
      ...(rope && { rope_table: rope.buffer }),
      ...(norm && { q_weight: norm.q.buffer, k_weight: norm.k.buffer }),
    },
    {
      heads: numHeads,
      kv_heads: kvHeads,
      dims: rope?.dims ?? 0,
      qkv_stride: qkv.stride,
      q_stride: q.stride / 4,
      block_shift: Math.log2(shape.blockSize),
      num_slots: shape.numBlocks * shape.blockSize,
      positions: args.positions,
      slots: args.slots,
      fours: headDim / 4,
      lanes,
      eps: norm?.eps ?? 0,
    },
    Math.ceil((numHeads + 2 * kvHeads) / headsPerGroup),
    args.numTokens,
  );
}
