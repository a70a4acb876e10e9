import { describe, expect, test } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import {
  attentionScratchBytes,
  PREFILL_ITEM_WORDS,
  planAttention,
  planPrefillItems,
} from '../../src/engine/ops/attention-plan.ts';
import type { CacheShape } from '../../src/engine/ops/kv-cache.ts';
import {
  type Batch,
  MIXED,
  type Model,
  makeBatch,
  NUM_MIXED_DECODES,
  planFor,
  runBatch,
  sinksOf,
  slopesOf,
  wanted,
} from '../helpers/attention-batch.ts';
import { gpuTest, upload, variants } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { fp8Values } from '../reference/kv-cache.ts';

/** Few models that cover much: each costs three pipelines, which a software adapter compiles slowly. */
const MODELS: readonly (Model & { readonly all?: boolean })[] = [
  { headDim: 64, group: 1, kvHeads: 2, blockSize: 8, format: 'f32', isSoftware: false, all: true },
  { headDim: 32, group: 3, kvHeads: 2, blockSize: 32, format: 'f16', isSoftware: true, all: true },
  { headDim: 128, group: 8, kvHeads: 1, blockSize: 16, format: 'f16', isSoftware: false },
  { headDim: 80, group: 2, kvHeads: 1, blockSize: 8, format: 'int8', isSoftware: false },
  { headDim: 256, group: 2, kvHeads: 1, blockSize: 16, format: 'e4m3', isSoftware: true },
  { headDim: 16, group: 20, kvHeads: 2, blockSize: 8, format: 'f32', softcap: 2, isSoftware: true },
  { headDim: 96, group: 2, kvHeads: 2, blockSize: 16, format: 'bf16', softcap: 5, sinks: true, isSoftware: false },
  { headDim: 160, group: 1, kvHeads: 2, blockSize: 8, format: 'e5m2', sinks: true, isSoftware: true },
  { headDim: 32, group: 16, kvHeads: 1, blockSize: 32, format: 'int8', alibi: true, isSoftware: true },
  { headDim: 40, group: 5, kvHeads: 2, blockSize: 8, format: 'e4m3', alibi: true, sinks: true, isSoftware: false },
];

describe('attention', () => {
  for (const model of MODELS) {
    const { headDim, group, kvHeads, blockSize, format, softcap = 0, sinks = false, alibi = false } = model;
    const extras = `softcap ${softcap}${sinks ? ', sinks' : ''}${alibi ? ', ALiBi' : ''}`;
    gpuTest(
      `${kvHeads} kv heads of ${headDim}, group ${group}, B=${blockSize}, ${format}, ${extras}`,
      async (device) => {
        const all = variants(device);
        const chosen = model.all ? all : all.slice(-1);
        const batch = makeBatch(device, model, MIXED, NUM_MIXED_DECODES, headDim + group);
        const heads = group * kvHeads;
        for (const window of [null, 1, 37, 300]) {
          const run = {
            window,
            softcap,
            ...(sinks && { sinks: sinksOf(heads) }),
            ...(alibi && { slopes: slopesOf(heads) }),
          };
          const want = wanted(batch, group, run);
          for (const variant of chosen) {
            const plan = planFor(device, model, batch, variant);
            const got = await runBatch(device, variant, plan, batch, run);
            expectClose('attention', got, want, `${variant.name} window=${window}`, 1);
          }
        }
      },
    );
  }

  for (const format of ['e4m3', 'e5m2'] as const) {
    gpuTest(`all 256 codes of ${format} are read exactly`, async (device) => {
      // With one key the result is its value: two heads' rows of all codes.
      const model: Model = { headDim: 128, group: 1, kvHeads: 2, blockSize: 16, format, isSoftware: true };
      const variant = { subgroups: false, f16: false };
      for (const numDecodes of [1, 0]) {
        const batch = makeBatch(device, model, [{ context: 1, queries: 1 }], numDecodes, 1);
        const codes = new Uint8Array(2 * 16 * 128);
        for (let code = 0; code < 256; code++) codes[Math.floor(code / 128) * 16 * 128 + (code % 128)] = code;
        const keys = new Uint8Array(codes.length);
        const all = {
          ...batch,
          blockTables: Uint32Array.of(0),
          cache: { k: upload(device, 'k', keys), v: upload(device, 'v', codes) },
        };
        const plan = planFor(device, model, batch, variant);
        const got = await runBatch(device, variant, plan, all, { window: null });
        const want = fp8Values(format);
        expect(got.length).toBe(256);
        for (let i = 0; i < got.length; i++) {
          const value = want[i] ?? 0;
          if (Number.isFinite(value)) expect(got[i]).toBe(value + 0);
          else expect(Number.isFinite(got[i])).toBe(false);
        }
      }
    });
  }

  gpuTest('a decode gives the same bits alone, in a batch and in rounds', async (device) => {
    const model = MODELS[1] as Model;
    const variant = variants(device).at(-1) ?? { subgroups: false, f16: false };
    const decodes = MIXED.slice(0, NUM_MIXED_DECODES);
    const batch = makeBatch(device, model, decodes, decodes.length, 5);
    const plan = planFor(device, model, batch, variant);
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
    const variant = { subgroups: false, f16: false };
    const plan = planFor(device, model, whole, variant);
    for (const window of [null, 20]) {
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
    expect(plan.prefill).toMatchObject({ kind: 'tiled', stageQueries: false });
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
              expect(prefill).toMatchObject({ kind: 'tiled', rows: 32 });
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
