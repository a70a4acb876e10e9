import { describe, expect, test } from 'bun:test';
import type { EngineConfig } from '../../../src/config/server-config.ts';
import { halvedPlan, planMemory } from '../../../src/engine/memory-plan.ts';
import { specFromConfig } from '../../../src/engine/models/registry.ts';
import { matrixRows, productRows } from '../../../src/engine/models/work.ts';
import { TEST_CONFIG } from '../../helpers/model.ts';

const spec = specFromConfig({
  architectures: ['LlamaForCausalLM'],
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  head_dim: 64,
  vocab_size: 128256,
  max_position_embeddings: 131072,
});
const config = { ...TEST_CONFIG, kvCacheDtype: 'float16' as const, maxNumBatchedTokens: null, maxNumSeqs: 256 };
const GIB = 2 ** 30;
const gpu = { bindingBytes: 2 * GIB, totalBytes: 24 * GIB, weightBytes: 2.5 * GIB, isSoftware: false };

describe('memory plan', () => {
  test('a large GPU gets the whole context and as many blocks as memory allows', () => {
    const plan = planMemory(spec, config, gpu);
    expect(plan.maxModelLen).toBe(131072);
    expect(plan.maxNumSeqs).toBe(256);
    expect(plan.maxNumBatchedTokens).toBe(2048);
    expect(plan.kvCacheBytes).toBe(plan.numBlocks * 16 * 16 * 8 * 64 * 2 * 2);
    expect(plan.kvCacheBytes + gpu.weightBytes).toBeLessThan(0.95 * gpu.totalBytes);
    expect(plan.notices).toEqual([]);
  });

  test('a small binding clips sequences, tokens and context, and says so', () => {
    const plan = planMemory(spec, { ...config, maxNumBatchedTokens: 8192 }, { ...gpu, bindingBytes: 128 * 2 ** 20 });
    expect(plan.maxNumSeqs).toBe(256);
    expect(plan.maxNumBatchedTokens).toBeLessThan(8192);
    expect(plan.numBlocks * 16 * 8 * 64 * 2).toBeLessThanOrEqual(128 * 2 ** 20);
    expect(plan.notices.join('\n')).toMatch(/MAX_NUM_BATCHED_TOKENS is 8192/);
  });

  test('a context beyond what fits is clipped, not refused', () => {
    const plan = planMemory(spec, config, { ...gpu, totalBytes: 4 * GIB });
    expect(plan.maxModelLen).toBe(plan.numBlocks * 16);
    expect(plan.notices.join('\n')).toMatch(/MAX_MODEL_LEN is 131072, but only \d+ fit: clipped/);
  });

  test('a CPU gets short steps, the shorter the larger the model', () => {
    const plan = planMemory(spec, config, { ...gpu, isSoftware: true });
    expect(plan.maxNumBatchedTokens).toBeGreaterThanOrEqual(16);
    expect(plan.maxNumBatchedTokens).toBeLessThan(64);
    const tiny = { ...spec, layers: spec.layers.slice(0, 1), hidden: 64, ffn: 128 };
    expect(planMemory(tiny, config, { ...gpu, isSoftware: true }).maxNumBatchedTokens).toBe(512);
  });

  test('a mixture of experts has rows for each expert of a token, and they count', () => {
    const experts = {
      numExperts: 128,
      topK: 8,
      ffn: 768,
      router: 'softmax',
      renormalize: true,
      routedScale: 1,
    } as const;
    const mixture = { ...spec, moe: { ...experts, sharedFfn: null }, ffn: 768 };
    const layers = spec.layers.map((layer) => ({ ...layer, ffn: 'moe' as const }));
    const wide = { ...config, maxNumBatchedTokens: 8192 };
    const plan = planMemory({ ...mixture, layers }, wide, { ...gpu, bindingBytes: 256 * 2 ** 20 });
    // The widest are eight rows of the hidden size.
    expect(plan.maxNumBatchedTokens).toBe(Math.floor((256 * 2 ** 20) / (4 * 8 * (2048 + 8))));
    const tight = { ...gpu, totalBytes: 5 * GIB };
    expect(planMemory({ ...mixture, layers }, config, tight).numBlocks).toBeLessThan(
      planMemory(spec, config, tight).numBlocks,
    );
  });

  test('rows that are packed for subgroup matrices count, eight for a token of a mixture; a CPU packs none', () => {
    const moe = { numExperts: 64, topK: 8, ffn: 4096, router: 'softmax', renormalize: true, routedScale: 1 } as const;
    const layers = spec.layers.map((layer) => ({ ...layer, ffn: 'moe' as const }));
    const mixture = { ...spec, moe: { ...moe, sharedFfn: null }, layers };
    expect(productRows(mixture)).toEqual([
      { rows: 1, columns: 8192 },
      { rows: 8, columns: 4096 },
    ]);
    const fixed = { ...config, maxNumBatchedTokens: 1024 };
    const tight = { ...gpu, totalBytes: 6 * GIB };
    const gpuBytes = planMemory(mixture, fixed, tight).kvCacheBytes;
    const saved = planMemory(mixture, fixed, { ...tight, isSoftware: true }).kvCacheBytes - gpuBytes;
    const expected = 1024 * 8 * (2 * 4096 + 80) + 4 * matrixRows(mixture);
    expect(Math.abs(saved - expected)).toBeLessThan(2 ** 20);
  });

  test('a narrow cache holds more blocks, and int8 pays for its scales', () => {
    const blocks = (kvCacheDtype: EngineConfig['kvCacheDtype']) =>
      planMemory(spec, { ...config, kvCacheDtype, maxModelLen: 131072, maxNumSeqs: 512 }, gpu).numBlocks;
    const wide = blocks('float16');
    expect(blocks('bfloat16')).toBe(wide);
    expect(blocks('fp8') / wide).toBeCloseTo(2, 2);
    expect(blocks('int8') / wide).toBeCloseTo((2 * 64) / (64 + 4), 2);
  });

  test('blocks can be fixed', () => {
    expect(planMemory(spec, { ...config, numGpuBlocksOverride: 100 }, gpu).numBlocks).toBe(100);
  });

  test('no room at all is an error that says where memory goes', () => {
    expect(() => planMemory(spec, config, { ...gpu, totalBytes: 2 * GIB })).toThrow(
      /no room for a KV cache: of 2048 MiB/,
    );
  });

  test('halving goes on until nothing is left', () => {
    const plan = planMemory(spec, config, gpu);
    const half = halvedPlan(plan);
    expect(half.numBlocks).toBe(Math.floor(plan.numBlocks / 2));
    expect(() => halvedPlan({ ...half, numBlocks: 1, blockSize: 1 })).toThrow(/out of memory/);
  });
});
