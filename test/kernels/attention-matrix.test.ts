/** Prefill attention with subgroup matrices; runs where the adapter offers them. `REQUIRE_MATRIX=1` demands it. */
import { describe, expect, test } from 'bun:test';
import type { MatrixConfig } from '../../src/engine/gpu/binding.ts';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { planAttention } from '../../src/engine/ops/attention-plan.ts';
import type { CacheFormat } from '../../src/engine/ops/kv-cache.ts';
import {
  type Batch,
  type Model,
  makeBatch,
  planFor,
  runBatch,
  sinksOf,
  slopesOf,
  wanted,
} from '../helpers/attention-batch.ts';
import { matrixConfig, matrixTest } from '../helpers/matrix.ts';
import { expectClose } from '../helpers/tolerance.ts';

const variant = { subgroups: true, f16: true, matrix: matrixConfig };

/** Whole prompts of odd lengths, chunks that continue one, and one of a single token. */
const ENTRIES = [
  { context: 1, queries: 1 },
  { context: 45, queries: 45 },
  { context: 300, queries: 33 },
  { context: 64, queries: 7 },
  { context: 130, queries: 130 },
];

/** Small heads, because a software adapter takes ten seconds and more to compile a large one; 40 is not whole matrices of 16. */
const MODELS: readonly Model[] = [
  { headDim: 32, group: 1, kvHeads: 2, blockSize: 8, format: 'f16', isSoftware: false },
  { headDim: 32, group: 3, kvHeads: 2, blockSize: 32, format: 'bf16', softcap: 5, isSoftware: false },
  { headDim: 32, group: 8, kvHeads: 1, blockSize: 16, format: 'int8', sinks: true, isSoftware: false },
  { headDim: 40, group: 5, kvHeads: 1, blockSize: 16, format: 'e4m3', alibi: true, isSoftware: false },
];

describe('attention with subgroup matrices', () => {
  test('shapes of all known adapters have a plan for the common heads, and the others run without', () => {
    const adapters = [
      { name: 'NVIDIA', M: 16, N: 16, K: 16, subgroupMaxSize: 32, rows: 64 },
      { name: 'AMD', M: 16, N: 16, K: 16, subgroupMaxSize: 64, rows: 64 },
      { name: 'Intel', M: 8, N: 16, K: 16, subgroupMaxSize: 32, rows: 32 },
      { name: 'Apple', M: 8, N: 8, K: 8, subgroupMaxSize: 32, rows: 32 },
    ];
    const limits = { maxComputeWorkgroupStorageSize: 32768 } as GpuDevice['limits'];
    for (const { M, N, K, subgroupMaxSize, rows } of adapters) {
      const matrix = { componentType: 'f16', resultComponentType: 'f32', M, N, K };
      for (const headDim of [32, 64, 80, 96, 128, 160, 256]) {
        const shape = { format: 'f16', kvHeads: 2, headDim, blockSize: 16, numBlocks: 1 } as const;
        const planWith = (format: CacheFormat, offered: MatrixConfig | null) => {
          const adapter = { isSoftware: false, subgroupMaxSize } as GpuDevice['adapter'];
          return planAttention({ limits, adapter }, { ...shape, format }, 8, true, offered).prefill;
        };
        expect(planWith('int8', matrix)).toMatchObject({
          kind: 'matrix',
          rows,
          nSteps: Math.ceil(headDim / 16) * (16 / N),
        });
        expect(planWith('f32', matrix).kind).toBe('tiled');
        expect(planWith('f16', null).kind).toBe('tiled');
      }
    }
  });

  for (const model of MODELS) {
    const { headDim, group, kvHeads, format, softcap = 0, sinks = false, alibi = false } = model;
    const extras = `softcap ${softcap}${sinks ? ', sinks' : ''}${alibi ? ', ALiBi' : ''}`;
    matrixTest(`${kvHeads} kv heads of ${headDim}, group ${group}, ${format}, ${extras}`, async (device) => {
      const batch = makeBatch(device, model, ENTRIES, 0, headDim + group);
      const plan = planFor(device, model, batch, variant);
      expect(plan.prefill.kind).toBe('matrix');
      const heads = group * kvHeads;
      for (const window of [null, 1, 37]) {
        const run = {
          window,
          softcap,
          ...(sinks && { sinks: sinksOf(heads) }),
          ...(alibi && { slopes: slopesOf(heads) }),
        };
        const got = await runBatch(device, variant, plan, batch, run);
        expectClose('attentionF16', got, wanted(batch, group, run), `window=${window}`, 1);
      }
    });
  }

  matrixTest('maxima that grow by much, key after key, lose nothing', async (device) => {
    const model: Model = { headDim: 40, group: 1, kvHeads: 1, blockSize: 8, format: 'e4m3', isSoftware: false };
    const batch = makeBatch(device, model, [{ context: 200, queries: 40 }], 0, 3);
    const plan = planFor(device, model, batch, variant);
    // ALiBi that prefers late keys: from the first tile to the last, scores rise by a hundred.
    const run = { window: null, slopes: Float32Array.of(0.5) };
    const got = await runBatch(device, variant, plan, batch, run);
    expectClose('attentionF16', got, wanted(batch, 1, run), 'rising', 1);
  });

  matrixTest('a prompt gives the same bits whole and in chunks', async (device) => {
    const model: Model = { headDim: 40, group: 2, kvHeads: 1, blockSize: 8, format: 'e4m3', isSoftware: false };
    const whole = makeBatch(device, model, [{ context: 90, queries: 90 }], 0, 5);
    const plan = planFor(device, model, whole, variant);
    for (const window of [null, 20]) {
      const run = { window, slopes: Float32Array.of(0.4, 0.01) };
      const want = await runBatch(device, variant, plan, whole, run);
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
        got.push(...(await runBatch(device, variant, plan, chunk, run)));
      }
      expectClose('exact', got, want, `window=${window}`);
    }
  });
});
