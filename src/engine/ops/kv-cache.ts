/**
 * The paged key/value cache as kernels see it: shape, layout and size.
 *
 * Layout of one layer: keys and values in a buffer each, rows of D elements as [block][kv head][slot in block], so that the
 * tokens of a block are contiguous per head; the scales of these rows, where the format has them, follow them. Owns no policy: which block belongs to whom is the block pool's business.
 * Next: `rope-kv.ts` (writes it), `attention.ts` (reads it).
 */
import type { GpuBuffer } from '../gpu/buffer.ts';

/**
 * How an element is stored; a u32 holds adjacent elements. `int8` has an f32 scale for each row (one token's one head), which is
 * the row's largest magnitude / 127; the fp8 formats have none and saturate at 448 (e4m3) and 57344 (e5m2).
 */
export type CacheFormat = 'f32' | 'bf16' | 'f16' | 'int8' | 'e4m3' | 'e5m2';

/** Number by which shaders know a format (include/kv.wgsl), and bytes of an element and of a row's scale. */
const FORMATS = {
  f32: { code: 0, elementBytes: 4, scaleBytes: 0 },
  bf16: { code: 1, elementBytes: 2, scaleBytes: 0 },
  f16: { code: 2, elementBytes: 2, scaleBytes: 0 },
  int8: { code: 3, elementBytes: 1, scaleBytes: 4 },
  e4m3: { code: 4, elementBytes: 1, scaleBytes: 0 },
  e5m2: { code: 5, elementBytes: 1, scaleBytes: 0 },
} as const satisfies Record<CacheFormat, { code: number; elementBytes: number; scaleBytes: number }>;

/** Number by which shaders know a format. */
export function cacheFormatCode(format: CacheFormat): number {
  return FORMATS[format].code;
}

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
  return shape.kvHeads * shape.blockSize * cacheRowBytes(shape);
}

/** Size of one token's keys (or values) of one head of one layer, with their scale. Units: bytes. */
export function cacheRowBytes({ format, headDim }: Pick<CacheShape, 'format' | 'headDim'>): number {
  const { elementBytes, scaleBytes } = FORMATS[format];
  return headDim * elementBytes + scaleBytes;
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
