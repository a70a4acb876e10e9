/**
 * Attention and the write into the paged cache, measured on batches of sequences of one length.
 *
 * Bytes are the keys and values that a batch must read; blocks lie scattered, as they do after a while of serving.
 */
import { recordAttention } from '../../src/engine/ops/attention.ts';
import {
  attentionScratchBytes,
  PREFILL_ITEM_WORDS,
  planAttention,
  planPrefillItems,
} from '../../src/engine/ops/attention-plan.ts';
import type { OpContext } from '../../src/engine/ops/context.ts';
import { type CacheShape, layerCacheBytes } from '../../src/engine/ops/kv-cache.ts';
import { recordRopeKv } from '../../src/engine/ops/rope-kv.ts';
import { benchTensor, filledBuffer } from './bench-values.ts';
import type { KernelCase } from './kernel-cases.ts';

/** Sequences in the batch, tokens of each that are computed, and tokens in the cache with them. */
interface Batch {
  readonly sequences: number;
  readonly newTokens: number;
  readonly context: number;
}

const BLOCK_SIZE = 16;
const ELEMENT_BYTES = 2;

interface Heads {
  readonly query: number;
  readonly kv: number;
  readonly size: number;
}

export function attentionCases(isSoftware: boolean): KernelCase[] {
  const heads: Heads = isSoftware ? { query: 8, kv: 2, size: 64 } : { query: 32, kv: 8, size: 64 };
  const [short, long, many] = isSoftware ? [128, 1024, 8] : [1024, 8192, 64];
  return [
    attentionCase('decode', heads, { sequences: 1, newTokens: 1, context: long }),
    attentionCase('decode', heads, { sequences: many, newTokens: 1, context: short }),
    attentionCase('decode', heads, { sequences: many, newTokens: 1, context: long }),
    attentionCase('prefill', heads, { sequences: 1, newTokens: short, context: short }),
    attentionCase('prefill', heads, { sequences: 1, newTokens: short, context: long }),
    ropeKvCase(heads, many),
    ropeKvCase(heads, short),
  ];
}

function attentionCase(kind: 'decode' | 'prefill', heads: Heads, batch: Batch): KernelCase {
  const { sequences, newTokens, context: contextTokens } = batch;
  const columns = heads.query * heads.size;
  const tokens = sequences * newTokens;
  const pairs = sequences * newTokens * (contextTokens - (newTokens - 1) / 2);
  return {
    name: `attention-${kind} ${sequences} x ${newTokens} of ${contextTokens}, ${heads.query}/${heads.kv} heads of ${heads.size}`,
    bytes: sequences * contextTokens * heads.kv * heads.size * 2 * ELEMENT_BYTES + 2 * tokens * columns * 4,
    flops: 4 * pairs * columns,
    async make(context) {
      const { device } = context;
      const { shape, cache } = await makeCache(context, heads, sequences * contextTokens);
      const plan = planAttention(
        device,
        shape,
        heads.query,
        context.subgroups,
        context.software ? null : context.matrix,
      );
      const q = await benchTensor(device, 'q', tokens, columns);
      const out = await benchTensor(device, 'out', tokens, columns);
      const scratch = device.createBuffer('scratch', attentionScratchBytes(plan, sequences, contextTokens));
      const stride = Math.ceil(contextTokens / BLOCK_SIZE);
      const entries = {
        numDecodes: newTokens === 1 ? sequences : 0,
        numSequences: sequences,
        queryStart: Uint32Array.from({ length: sequences + 1 }, (_, i) => i * newTokens),
        contextLength: new Uint32Array(sequences).fill(contextTokens),
      };
      const items = planPrefillItems(entries, plan);
      const blockTables = scattered(sequences * stride);
      return {
        prepare: () => {
          const { recorder } = context;
          const attention = {
            numDecodes: entries.numDecodes,
            numSequences: sequences,
            queryStart: recorder.words(entries.queryStart),
            contextLength: recorder.words(entries.contextLength),
            blockTables: recorder.words(blockTables),
            blockTableStride: stride,
            maxContext: contextTokens,
            prefillItems: recorder.words(items),
            numPrefillItems: items.length / PREFILL_ITEM_WORDS,
          };
          const scale = 1 / Math.sqrt(heads.size);
          return () =>
            recordAttention(context, { plan, q, out, cache, batch: attention, scale, window: null, scratch });
        },
        release: () => {
          for (const buffer of [cache.k, cache.v, q.buffer, out.buffer, scratch]) device.destroyBuffer(buffer);
        },
      };
    },
  };
}

function ropeKvCase(heads: Heads, tokens: number): KernelCase {
  const columns = (heads.query + 2 * heads.kv) * heads.size;
  return {
    name: `rope-kv ${tokens} x ${heads.query}/${heads.kv} heads of ${heads.size}`,
    bytes: tokens * heads.size * (2 * heads.query * 4 + 2 * heads.kv * (4 + ELEMENT_BYTES)),
    flops: tokens * 3 * (heads.query + heads.kv) * heads.size,
    async make(context) {
      const { device } = context;
      const { shape, cache } = await makeCache(context, heads, tokens);
      const qkv = await benchTensor(device, 'qkv', tokens, columns);
      const q = await benchTensor(device, 'q', tokens, heads.query * heads.size);
      const table = await filledBuffer(device, 'rope table', tokens * heads.size * 4);
      const positions = Uint32Array.from({ length: tokens }, (_, i) => i);
      return {
        prepare: () => {
          const at = context.recorder.words(positions);
          const rope = { buffer: table, style: 'half', dims: heads.size } as const;
          return () =>
            recordRopeKv(context, {
              ...{ qkv, q, cache, shape, rope, norm: null },
              ...{ numHeads: heads.query, numTokens: tokens, positions: at, slots: at },
            });
        },
        release: () => {
          for (const buffer of [cache.k, cache.v, qkv.buffer, q.buffer, table]) device.destroyBuffer(buffer);
        },
      };
    },
  };
}

async function makeCache({ device }: OpContext, heads: Heads, tokens: number) {
  const numBlocks = Math.ceil(tokens / BLOCK_SIZE);
  const shape: CacheShape = { format: 'f16', kvHeads: heads.kv, headDim: heads.size, blockSize: BLOCK_SIZE, numBlocks };
  const bytes = layerCacheBytes(shape);
  return { shape, cache: { k: await filledBuffer(device, 'k', bytes), v: await filledBuffer(device, 'v', bytes) } };
}

/** All block numbers once each, neighbours far apart. */
function scattered(count: number): Uint32Array {
  const step = [7919, 5003, 101, 1].find((prime) => count % prime !== 0) ?? 1;
  return Uint32Array.from({ length: count }, (_, i) => (i * step) % count);
}
