/**
 * How many KV blocks, tokens per step and sampled rows fit: pure arithmetic over the device's limits and a memory budget.
 *
 * Owns no GPU and allocates nothing; `local-engine.ts` feeds it and prints its notices. Next: `scheduler-options.ts`.
 */
import type { EngineConfig } from '../config/server-config.ts';
import type { ModelSpec } from './models/spec.ts';
import { activationRows, flopsPerToken, matrixRows, productRows } from './models/work.ts';
import { type CacheFormat, cacheRowBytes } from './ops/kv-cache.ts';
import { EngineError } from './types.ts';

export interface MemoryLimits {
  /** Largest buffer that a kernel can bind. Units: bytes. */
  readonly bindingBytes: number;
  /** What weights, cache and activations may take together. Units: bytes. */
  readonly totalBytes: number;
  readonly weightBytes: number;
  readonly isSoftware: boolean;
}

export interface MemoryPlan {
  readonly kvFormat: CacheFormat;
  readonly blockSize: number;
  readonly numBlocks: number;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  /** Rows of logits that fit one binding. */
  readonly maxSampleRows: number;
  readonly kvCacheBytes: number;
  /** What was clipped and why, one sentence each. */
  readonly notices: readonly string[];
}

/** `auto` should have been resolved by then; f16 is what it means for most weights. `fp8` alone is e4m3. */
const CACHE_FORMAT_OF_DTYPE: Record<EngineConfig['kvCacheDtype'], CacheFormat> = {
  auto: 'f16',
  float32: 'f32',
  bfloat16: 'bf16',
  float16: 'f16',
  int8: 'int8',
  fp8: 'e4m3',
  fp8_e4m3: 'e4m3',
  fp8_e5m2: 'e5m2',
};

/** Tokens of one step unless set: enough to fill a GPU. */
const DEFAULT_BATCHED_TOKENS = 2048;
/** A CPU gets at most this many, and fewer for a large model: a step shall not hold others up for more than seconds. */
const MAX_SOFTWARE_TOKENS = 512;
const MIN_SOFTWARE_TOKENS = 16;
const SOFTWARE_STEP_FLOPS = 4e10;
/** A scale, and zeros up to whole stages of the kernel: at most. Units: bytes. */
const PACKED_ROW_PADDING = 80;
/** Left free for the driver and for the pipelines. */
const SLACK_BYTES = 64 * 2 ** 20;

/** Plans the cache. Throws: EngineError('load-failed') when not even one sequence of two blocks fits. */
export function planMemory(spec: ModelSpec, config: EngineConfig, limits: MemoryLimits): MemoryPlan {
  const notices: string[] = [];
  const { blockSize } = config;
  const kvFormat = CACHE_FORMAT_OF_DTYPE[config.kvCacheDtype];

  const { widest, total } = activationRows(spec);
  const wantedTokens =
    config.maxNumBatchedTokens ?? (limits.isSoftware ? softwareTokens(spec) : DEFAULT_BATCHED_TOKENS);
  const maxNumBatchedTokens = clip(
    'MAX_NUM_BATCHED_TOKENS',
    wantedTokens,
    Math.floor(limits.bindingBytes / (4 * widest)),
  );
  const maxSampleRows = Math.floor(limits.bindingBytes / (4 * (spec.vocab + 8)));
  const maxNumSeqs = clip('MAX_NUM_SEQS', config.maxNumSeqs, Math.min(maxSampleRows, maxNumBatchedTokens));

  const layerBlockBytes = blockSize * spec.kvHeads * cacheRowBytes({ format: kvFormat, headDim: spec.headDim });
  const blockBytes = 2 * spec.layers.length * layerBlockBytes;
  const activationBytes =
    4 * (maxNumBatchedTokens * total + maxNumSeqs * (spec.vocab + spec.hidden)) +
    (limits.isSoftware ? 0 : matrixBytes(spec, maxNumBatchedTokens));
  const free = limits.totalBytes * config.gpuMemoryUtilization - limits.weightBytes - activationBytes - SLACK_BYTES;
  const wantedLen = config.maxModelLen ?? spec.maxPositions;
  const useful = maxNumSeqs * Math.ceil(wantedLen / blockSize);
  const byMemory = Math.floor(free / blockBytes);
  const byBinding = Math.floor(limits.bindingBytes / layerBlockBytes);
  const numBlocks = config.numGpuBlocksOverride
    ? clip('NUM_GPU_BLOCKS_OVERRIDE', config.numGpuBlocksOverride, byBinding)
    : Math.min(byMemory, byBinding, useful);
  if (numBlocks * blockSize < 2) {
    const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
    throw new EngineError(
      'load-failed',
      `no room for a KV cache: of ${mib(limits.totalBytes)}, weights take ${mib(limits.weightBytes)} and activations ${mib(activationBytes)}`,
    );
  }
  const maxModelLen = clip('MAX_MODEL_LEN', wantedLen, numBlocks * blockSize);
  return {
    kvFormat,
    blockSize,
    numBlocks,
    maxModelLen,
    maxNumSeqs,
    maxNumBatchedTokens,
    maxSampleRows,
    kvCacheBytes: numBlocks * blockBytes,
    notices,
  };

  function clip(name: string, wanted: number, most: number): number {
    if (wanted <= most) return wanted;
    notices.push(`${name} is ${wanted}, but only ${most} fit: clipped`);
    return Math.max(1, most);
  }
}

/** What products by subgroup matrices keep: rows of one of them packed to f16, and a number for each row of weights. */
function matrixBytes(spec: ModelSpec, maxTokens: number): number {
  const packed = productRows(spec).map(({ rows, columns }) => rows * (2 * columns + PACKED_ROW_PADDING));
  return maxTokens * Math.max(...packed) + 4 * matrixRows(spec);
}

function softwareTokens(spec: ModelSpec): number {
  const affordable = Math.floor(SOFTWARE_STEP_FLOPS / flopsPerToken(spec));
  return Math.min(MAX_SOFTWARE_TOKENS, Math.max(MIN_SOFTWARE_TOKENS, affordable));
}

/** The plan with half the blocks, after an allocation failed. */
export function halvedPlan(plan: MemoryPlan): MemoryPlan {
  const numBlocks = Math.floor(plan.numBlocks / 2);
  if (numBlocks * plan.blockSize < 2) throw new EngineError('load-failed', 'the GPU is out of memory for a KV cache');
  const maxModelLen = Math.min(plan.maxModelLen, numBlocks * plan.blockSize);
  const notice = `the GPU could not hold ${plan.numBlocks} KV blocks: ${numBlocks} are tried`;
  return { ...plan, numBlocks, maxModelLen, kvCacheBytes: plan.kvCacheBytes / 2, notices: [...plan.notices, notice] };
}
