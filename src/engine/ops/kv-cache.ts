/**
 * The paged key/value cache as kernels see it: shape, layout and size.
 *
 * Layout of one layer: keys and values in a buffer each, rows of D elements as [block][kv head][slot in block], so that the
 * tokens of a block are contiguous per head. Owns no policy: which block belongs to whom is the block pool's business.
 * Next: `rope-kv.ts` (writes it), `attention.ts` (reads it).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';

/** `f16`: two adjacent elements in a u32. */
export type CacheFormat = 'f32' | 'f16';

/** What all layers have in common. */
export interface CacheShape {
  readonly format: CacheFormat;
  /** G. */
  readonly kvHeads: number;
  /** D. Limits: a multiple of 8, 16 to 256. */
  readonly headDim: number;
  /** B. Limits: a power of two, 8 to 32. */
  readonly blockSize: number;
  readonly numBlocks: number;
}

/** Keys and values of one layer. Shapes: [numBlocks][kvHeads][blockSize][headDim] each. */
export interface LayerCache {
  readonly k: GpuBuffer;
  readonly v: GpuBuffer;
}

/** Slot number of a token whose key and value are not kept. */
export const NO_SLOT = 0xffffffff;

/** Size of the keys (or of the values) of one layer. Units: bytes. */
export function layerCacheBytes(shape: CacheShape): number {
  return shape.numBlocks * cacheBlockBytes(shape);
}

/** Size of one block of keys (or of values) of one layer. Units: bytes. */
export function cacheBlockBytes(shape: CacheShape): number {
  return shape.kvHeads * shape.blockSize * shape.headDim * (shape.format === 'f32' ? 4 : 2);
}

/** Where blocks lie in a buffer of keys (or of values): block b at `offset + b * blockBytes` of each region. Units: bytes. */
export function cacheRegions(shape: CacheShape): readonly { readonly offset: number; readonly blockBytes: number }[] {
  return [{ offset: 0, blockBytes: cacheBlockBytes(shape) }];
}

/** Throws: Error when no kernel takes this shape. */
export function assertCacheShape(shape: CacheShape): void {
  const { headDim, blockSize } = shape;
  if (headDim % 8 !== 0 || headDim < 8 || headDim > 256) throw new Error(`head size ${headDim} is not supported`);
  if (![8, 16, 32].includes(blockSize)) throw new Error(`block size ${blockSize} is not supported`);
}
