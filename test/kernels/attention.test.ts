import { describe, expect, test } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import {
  type AttentionPlan,
  attentionScratchBytes,
  PREFILL_ITEM_WORDS,
  planAttention,
  planPrefillItems,
  recordAttention,
} from '../../src/engine/ops/attention.ts';
import type { CacheFormat, CacheShape } from '../../src/engine/ops/kv-cache.ts';
import { context, gpuTest, randomNumbers, readTensor, roundTo, tensor, upload, variants } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { attentionReference } from '../reference/attention.ts';

/** An entry of a step: `queries` new tokens at the end of `context`; decodes have one and come first. */
interface Entry {
  readonly context: number;
  readonly queries: number;
}

interface Model {
  readonly headDim: number;
  readonly group: number;
  readonly kvHeads: number;
  readonly blockSize: number;
  readonly format: CacheFormat;
  readonly softcap?: number;
  /** Whose plan to run: the variants for hardware are right on a software adapter, too, and the other way round. */
  readonly isSoftware: boolean;
}

const decode = (length: number): Entry => ({ context: length, queries: 1 });
/** Decodes around block and split borders, whole prompts of odd lengths, and chunks that continue a prompt. */
const MIXED: readonly Entry[] = [
  ...[1, 9, 128, 129, 256, 257, 600].map(decode),
  { context: 1, queries: 1 },
  { context: 45, queries: 45 },
  { context: 300, queries: 33 },
  { context: 64, queries: 7 },
];
const NUM_MIXED_DECODES = 7;

/** Keys and values of a batch in a paged cache whose unused slots are NaN, so that reading one shows in the result. */
function makeBatch(device: GpuDevice, model: Model, entries: readonly Entry[], numDecodes: number, seed: number) {
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
          k[rowOf(s, j, g) + d] = roundTo(format, keys[from + d] ?? 0);
          v[rowOf(s, j, g) + d] = roundTo(format, values[from + d] ?? 0);
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
  const packed = (data: Float32Array) => (format === 'f32' ? data : new Uint8Array(new Float16Array(data).buffer));
  const cache = { k: upload(device, 'k', packed(k)), v: upload(device, 'v', packed(v)) };
  const shape: CacheShape = { format, kvHeads, headDim, blockSize, numBlocks };
  return {
    entries,
    shape,
    cache,
    k,
    v,
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

type Batch = ReturnType<typeof makeBatch>;

interface Run {
  readonly window: number | null;
  readonly softcap?: number;
  readonly scratchBytes?: number;
}

async function runBatch(
  device: GpuDevice,
  variant: { subgroups: boolean; f16: boolean },
  plan: AttentionPlan,
  batch: Batch,
  run: Run,
) {
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
    scratch: device.createBuffer('scratch', bytes),
  });
  ops.recorder.submit();
  return readTensor(device, out);
}

function wanted(batch: Batch, group: number, run: Run): Float64Array {
  const { headDim } = batch.shape;
  const out = new Float64Array(batch.numTokens * batch.columns);
  batch.entries.forEach((entry, s) => {
    for (let i = 0; i < entry.queries; i++) {
      const row = (batch.queryStart[s] ?? 0) + i;
      for (let head = 0; head < batch.columns / headDim; head++) {
        const at = row * batch.columns + head * headDim;
        const g = Math.floor(head / group);
        const of = (data: Float32Array) => (j: number) => {
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
        });
        out.set(reference, at);
      }
    }
  });
  return out;
}

/** Splits of 256 (software) or 128 keys make the contexts of MIXED one to five splits. */
function planFor(device: GpuDevice, model: Model, batch: Batch, subgroups: boolean): AttentionPlan {
  const adapter = { ...device.adapter, isSoftware: model.isSoftware };
  return planAttention({ limits: device.limits, adapter }, batch.shape, model.group * model.kvHeads, subgroups);
}

/** Few models that cover much: each costs three pipelines, which a software adapter compiles slowly. */
const MODELS: readonly (Model & { readonly all?: boolean })[] = [
  { headDim: 64, group: 1, kvHeads: 2, blockSize: 8, format: 'f32', isSoftware: false, all: true },
  { headDim: 32, group: 3, kvHeads: 2, blockSize: 32, format: 'f16', isSoftware: true, all: true },
  { headDim: 128, group: 8, kvHeads: 1, blockSize: 16, format: 'f16', isSoftware: false },
  { headDim: 80, group: 2, kvHeads: 1, blockSize: 8, format: 'f32', isSoftware: false },
  { headDim: 256, group: 2, kvHeads: 1, blockSize: 16, format: 'f16', isSoftware: true },
  { headDim: 16, group: 20, kvHeads: 2, blockSize: 8, format: 'f32', softcap: 2, isSoftware: true },
];

describe('attention', () => {
  for (const model of MODELS) {
    const { headDim, group, kvHeads, blockSize, format, softcap = 0 } = model;
    gpuTest(
      `${kvHeads} kv heads of ${headDim}, group ${group}, B=${blockSize}, ${format}, softcap ${softcap}`,
      async (device) => {
        const all = variants(device);
        const chosen = model.all ? all : all.slice(-1);
        const batch = makeBatch(device, model, MIXED, NUM_MIXED_DECODES, headDim + group);
        for (const window of [null, 1, 37, 300]) {
          const want = wanted(batch, group, { window, softcap });
          for (const variant of chosen) {
            const plan = planFor(device, model, batch, variant.subgroups);
            const got = await runBatch(device, variant, plan, batch, { window, softcap });
            expectClose('attention', got, want, `${variant.name} window=${window}`, 1);
          }
        }
      },
    );
  }

  gpuTest('a decode gives the same bits alone, in a batch and in rounds', async (device) => {
    const model = MODELS[1] as Model;
    const variant = variants(device).at(-1) ?? { subgroups: false, f16: false };
    const decodes = MIXED.slice(0, NUM_MIXED_DECODES);
    const batch = makeBatch(device, model, decodes, decodes.length, 5);
    const plan = planFor(device, model, batch, variant.subgroups);
    for (const window of [null, 300]) {
      const together = await runBatch(device, variant, plan, batch, { window });
      const oneByOne: number[] = [];
      for (const entry of decodes) {
        oneByOne.push(...(await runBatch(device, variant, plan, makeBatch(device, model, [entry], 1, 5), { window })));
      }
      expectClose('exact', together, oneByOne, `window=${window}`);
      const scratchBytes = attentionScratchBytes(plan, 2, batch.maxContext);
      expectClose(
        'exact',
        await runBatch(device, variant, plan, batch, { window, scratchBytes }),
        together,
        'in rounds',
      );
    }
  });

  gpuTest('a prompt gives the same bits whole and in chunks', async (device) => {
    const model = MODELS[0] as Model;
    const whole = makeBatch(device, model, [{ context: 90, queries: 90 }], 0, 5);
    const plan = planFor(device, model, whole, false);
    for (const window of [null, 20]) {
      const variant = { subgroups: false, f16: false };
      const want = await runBatch(device, variant, plan, whole, { window });
      const got: number[] = [];
      for (const [first, count] of [
        [0, 33],
        [33, 8],
        [41, 49],
      ] as const) {
        const chunk: Batch = {
          ...whole,
          entries: [{ context: first + count, queries: count }],
          q: whole.q.slice(first * whole.columns, (first + count) * whole.columns),
          numTokens: count,
          queryStart: Uint32Array.of(0, count),
          contextLength: Uint32Array.of(first + count),
        };
        got.push(...(await runBatch(device, variant, plan, chunk, { window })));
      }
      expectClose('exact', got, want, `window=${window}`);
    }
  });

  gpuTest('a device with 16 KiB of workgroup memory gets smaller variants with the same results', async (device) => {
    const model: Model = { headDim: 64, group: 4, kvHeads: 1, blockSize: 16, format: 'f32', isSoftware: false };
    const batch = makeBatch(device, model, MIXED, NUM_MIXED_DECODES, 3);
    const small = {
      adapter: { ...device.adapter, isSoftware: false },
      limits: { ...device.limits, maxComputeWorkgroupStorageSize: 16384 },
    };
    const variant = variants(device).at(-1) ?? { subgroups: false, f16: false };
    const plan = planAttention(small, batch.shape, model.group, variant.subgroups);
    expect(plan.prefill.stageQueries).toBe(false);
    const got = await runBatch(device, variant, plan, batch, { window: null });
    expectClose('attention', got, wanted(batch, model.group, { window: null }), '16 KiB', 1);
  });

  test('every supported shape has a plan within 16 KiB and within 32 KiB', () => {
    const limits = { maxComputeWorkgroupStorageSize: 0 } as GpuDevice['limits'];
    for (const budget of [16384, 32768]) {
      for (const isSoftware of [true, false]) {
        for (let headDim = 16; headDim <= 256; headDim += 8) {
          for (const group of [1, 2, 3, 7, 8, 16, 71]) {
            for (const subgroups of [true, false]) {
              const device = {
                adapter: { isSoftware } as GpuDevice['adapter'],
                limits: { ...limits, maxComputeWorkgroupStorageSize: budget },
              };
              const shape: CacheShape = { format: 'f16', kvHeads: 2, headDim, blockSize: 8, numBlocks: 1 };
              const { decode: plan, prefill } = planAttention(device, shape, 2 * group, subgroups);
              expect(plan.heads).toBeGreaterThan(0);
              expect((headDim / 8) * plan.parts).toBeLessThanOrEqual(plan.wg);
              expect(prefill.slice % 8).toBe(0);
            }
          }
        }
      }
    }
  });

  test('prefill items cover each row of the entries beyond the decodes once', () => {
    const device = {
      adapter: { isSoftware: true } as GpuDevice['adapter'],
      limits: { maxComputeWorkgroupStorageSize: 32768 } as GpuDevice['limits'],
    };
    const shape: CacheShape = { format: 'f32', kvHeads: 2, headDim: 64, blockSize: 8, numBlocks: 1 };
    const plan = planAttention(device, shape, 6, true);
    const entries = { numDecodes: 1, numSequences: 3, queryStart: [0, 1, 12, 44], contextLength: [9, 11, 40] };
    expect(chunked(planPrefillItems(entries, plan), PREFILL_ITEM_WORDS)).toEqual([
      [1, 32, 1, 0],
      [1, 0, 1, 0],
      [2, 64, 12, 8],
      [2, 32, 12, 8],
      [2, 0, 12, 8],
    ]);
  });
});

function chunked(values: Uint32Array, size: number): number[][] {
  return Array.from({ length: values.length / size }, (_, i) => [...values.subarray(i * size, (i + 1) * size)]);
}
