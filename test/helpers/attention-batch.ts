/**
 * Batches for tests of attention: entries of all kinds over a paged cache, their results by the kernels and by the float64 reference.
 *
 * Slots that no sequence uses hold NaN, so that reading one shows. Next: `test/reference/attention.ts`.
 */
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { recordAttention } from '../../src/engine/ops/attention.ts';
import {
  type AttentionPlan,
  attentionScratchBytes,
  PREFILL_ITEM_WORDS,
  planAttention,
  planPrefillItems,
} from '../../src/engine/ops/attention-plan.ts';
import type { CacheFormat, CacheShape } from '../../src/engine/ops/kv-cache.ts';
import { attentionReference } from '../reference/attention.ts';
import { storeRows } from '../reference/kv-cache.ts';
import { context, randomNumbers, readTensor, tensor, upload, type Variant, vector } from './gpu.ts';

/** An entry of a step: `queries` new tokens at the end of `context`; decodes have one and come first. */
export interface Entry {
  readonly context: number;
  readonly queries: number;
}

export interface Model {
  readonly headDim: number;
  readonly group: number;
  readonly kvHeads: number;
  readonly blockSize: number;
  readonly format: CacheFormat;
  readonly softcap?: number;
  readonly sinks?: boolean;
  readonly alibi?: boolean;
  /** Whose plan to run: the variants for hardware are right on a software adapter, too, and the other way round. */
  readonly isSoftware: boolean;
}

export const decode = (length: number): Entry => ({ context: length, queries: 1 });
/** Decodes around block and split borders, whole prompts of odd lengths, and chunks that continue a prompt. */
export const MIXED: readonly Entry[] = [
  ...[1, 9, 128, 129, 256, 257, 600].map(decode),
  { context: 1, queries: 1 },
  { context: 45, queries: 45 },
  { context: 300, queries: 33 },
  { context: 64, queries: 7 },
];
export const NUM_MIXED_DECODES = 7;

/** Keys and values of a batch in a paged cache whose unused slots are NaN, so that reading one shows in the result. */
export function makeBatch(
  device: GpuDevice,
  model: Model,
  entries: readonly Entry[],
  numDecodes: number,
  seed: number,
) {
  const { headDim, kvHeads, blockSize, format, group } = model;
  const stride = Math.max(...entries.map((entry) => Math.ceil(entry.context / blockSize)));
  const used = entries.reduce((sum, entry) => sum + Math.ceil(entry.context / blockSize), 0);
  const numBlocks = used + 3;
  // Every block but three, scattered: the guards between them stay NaN.
  const blocks = Array.from({ length: numBlocks }, (_, i) => i)
    .sort((a, b) => scatter(a) - scatter(b))
    .slice(0, used);
  const elements = numBlocks * kvHeads * blockSize * headDim;
  const [k, v] = [new Float32Array(elements).fill(Number.NaN), new Float32Array(elements).fill(Number.NaN)];
  const blockTables = new Uint32Array(entries.length * stride);
  const queryStart = new Uint32Array(entries.length + 1);
  const contextLength = Uint32Array.from(entries, (entry) => entry.context);
  const rowOf = (entry: number, j: number, g: number) => {
    const block = blockTables[entry * stride + Math.floor(j / blockSize)] ?? 0;
    return ((block * kvHeads + g) * blockSize + (j % blockSize)) * headDim;
  };
  let taken = 0;
  entries.forEach((entry, s) => {
    queryStart[s + 1] = (queryStart[s] ?? 0) + entry.queries;
    const count = Math.ceil(entry.context / blockSize);
    blockTables.set(blocks.slice(taken, taken + count), s * stride);
    taken += count;
    // Seeded by the entry's own shape, so that the same entry alone has the same numbers.
    const width = kvHeads * headDim;
    const own = seed + entry.context * 7 + entry.queries * 3;
    const keys = randomNumbers(own, entry.context * width);
    const values = randomNumbers(own + 1, entry.context * width);
    for (let j = 0; j < entry.context; j++) {
      for (let g = 0; g < kvHeads; g++) {
        const from = j * width + g * headDim;
        for (let d = 0; d < headDim; d++) {
          k[rowOf(s, j, g) + d] = keys[from + d] ?? 0;
          v[rowOf(s, j, g) + d] = values[from + d] ?? 0;
        }
      }
    }
  });
  const numTokens = queryStart[entries.length] ?? 0;
  const columns = kvHeads * group * headDim;
  const q = new Float32Array(numTokens * columns);
  entries.forEach((entry, s) => {
    q.set(
      randomNumbers(seed + entry.context * 11 + entry.queries, entry.queries * columns),
      (queryStart[s] ?? 0) * columns,
    );
  });
  const storedK = storeRows(format, k, headDim, blockSize);
  const storedV = storeRows(format, v, headDim, blockSize);
  const cache = { k: upload(device, 'k', storedK.bytes), v: upload(device, 'v', storedV.bytes) };
  const shape: CacheShape = { format, kvHeads, headDim, blockSize, numBlocks };
  return {
    entries,
    shape,
    cache,
    k: storedK.held,
    v: storedV.held,
    q,
    columns,
    numTokens,
    rowOf,
    queryStart,
    contextLength,
    blockTables,
    blockTableStride: stride,
    numDecodes,
    maxContext: Math.max(...entries.map((entry) => entry.context)),
  };
}

/** A fixed shuffle: sort keys without order. */
function scatter(block: number): number {
  return Math.imul(block + 1, 2654435761) >>> 0;
}

export type Batch = ReturnType<typeof makeBatch>;

export interface Run {
  readonly window: number | null;
  readonly softcap?: number;
  /** Shapes: [H]. */
  readonly sinks?: Float32Array;
  readonly slopes?: Float32Array;
  readonly scratchBytes?: number;
}

export async function runBatch(device: GpuDevice, variant: Variant, plan: AttentionPlan, batch: Batch, run: Run) {
  const ops = context(device, variant);
  const items = planPrefillItems({ ...batch, numSequences: batch.entries.length }, plan);
  const out = tensor(device, 'out', batch.numTokens, batch.columns);
  const bytes = run.scratchBytes ?? attentionScratchBytes(plan, batch.numDecodes, batch.maxContext);
  recordAttention(ops, {
    plan,
    q: tensor(device, 'q', batch.numTokens, batch.columns, batch.q),
    out,
    cache: batch.cache,
    batch: {
      numDecodes: batch.numDecodes,
      contextLength: ops.recorder.words(batch.contextLength),
      blockTables: ops.recorder.words(batch.blockTables),
      blockTableStride: batch.blockTableStride,
      maxContext: batch.maxContext,
      prefillItems: ops.recorder.words(items),
      numPrefillItems: items.length / PREFILL_ITEM_WORDS,
    },
    scale: 1 / Math.sqrt(batch.shape.headDim),
    window: run.window,
    softcap: run.softcap ?? 0,
    ...(run.sinks && { sinks: vector(device, 'sinks', run.sinks) }),
    ...(run.slopes && { slopes: vector(device, 'slopes', run.slopes) }),
    scratch: device.createBuffer('scratch', bytes),
  });
  ops.recorder.submit();
  return readTensor(device, out);
}

export function wanted(batch: Batch, group: number, run: Run): Float64Array {
  const { headDim } = batch.shape;
  const out = new Float64Array(batch.numTokens * batch.columns);
  batch.entries.forEach((entry, s) => {
    for (let i = 0; i < entry.queries; i++) {
      const row = (batch.queryStart[s] ?? 0) + i;
      for (let head = 0; head < batch.columns / headDim; head++) {
        const at = row * batch.columns + head * headDim;
        const g = Math.floor(head / group);
        const of = (data: Float64Array) => (j: number) => {
          const from = batch.rowOf(s, j, g);
          return data.subarray(from, from + headDim);
        };
        const reference = attentionReference({
          query: batch.q.subarray(at, at + headDim),
          position: entry.context - entry.queries + i,
          key: of(batch.k),
          value: of(batch.v),
          scale: 1 / Math.sqrt(headDim),
          window: run.window ?? 0,
          softcap: run.softcap ?? 0,
          slope: run.slopes?.[head] ?? 0,
          sink: run.sinks?.[head] ?? null,
        });
        out.set(reference, at);
      }
    }
  });
  return out;
}

/** Splits of 256 (software) or 128 keys make the contexts of MIXED one to five splits. */
export function planFor(device: GpuDevice, model: Model, batch: Batch, variant: Variant): AttentionPlan {
  const adapter = { ...device.adapter, isSoftware: model.isSoftware };
  const heads = model.group * model.kvHeads;
  return planAttention({ limits: device.limits, adapter }, batch.shape, heads, variant.subgroups, variant.matrix);
}

/** Sinks from far below the scores to far above them. */
export function sinksOf(heads: number): Float32Array {
  return Float32Array.from({ length: heads }, (_, head) => [-9, 0.5, 3, 12, 90][head % 5] ?? 0);
}

export function slopesOf(heads: number): Float32Array {
  return Float32Array.from({ length: heads }, (_, head) => 2 ** (-(8 * (head + 1)) / heads));
}
