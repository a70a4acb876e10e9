import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GpuDevice } from '../../../src/engine/gpu/device.ts';
import { type GemvShape, planGemv } from '../../../src/engine/ops/gemv-plan.ts';
import { recordGatedMatmul, recordMatmul } from '../../../src/engine/ops/matmul.ts';
import type { Matrix } from '../../../src/engine/ops/tensor.ts';
import type { GemvSizes } from '../../../src/engine/ops/tuned-plans.ts';
import { type AutotuneArgs, autotune } from '../../../src/engine/tune/autotune.ts';
import { gemvCandidates, gemvFits, gemvRefinements } from '../../../src/engine/tune/candidates.ts';
import { modelShapes, type TunableShape } from '../../../src/engine/tune/model-shapes.ts';
import { readEntries, TunedTable } from '../../../src/engine/tune/tuned-table.ts';
import { tuningKey, tuningPath } from '../../../src/engine/tune/tuning-file.ts';
import { EngineError } from '../../../src/engine/types.ts';
import { context, gpuTest, matrix, randomNumbers, readTensor, tensor, vector } from '../../helpers/gpu.ts';
import { expectClose } from '../../helpers/tolerance.ts';

const N = 48;
const K = 64;
const LIMITS = { subgroups: true, workgroupBytes: 32768, maxWorkgroupSize: 1024 };
/** Each variant takes a software adapter a while: two stand for all. */
const CANDIDATES: readonly GemvSizes[] = [
  { wg: 32, rows: 2, unroll: 1, load: 1 },
  { wg: 128, rows: 2, unroll: 2, load: 1 },
];

const folder = await mkdtemp(join(tmpdir(), 'tuning-'));
afterAll(() => rm(folder, { recursive: true, force: true }));
let numFolders = 0;
const freshFolder = () => join(folder, `folder-${numFolders++}`, 'of', 'its', 'own');

const weights = (device: GpuDevice, label: string): Matrix =>
  matrix(device, label, 'f32', N, K, randomNumbers(label.length, N * K));

function shapesOf(device: GpuDevice): TunableShape[] {
  const bias = vector(device, 'bias', randomNumbers(9, N));
  const plain = { weight: weights(device, 'w'), second: null, bias, secondBias: null };
  const pair = { weight: weights(device, 'gate'), second: weights(device, 'up'), bias: null, secondBias: null };
  const common = { format: 'f32', n: N, k: K, bytes: N * K * 4 } as const;
  return [
    { ...common, kind: 'gemv', products: [plain, plain].map((it) => ({ ...it, hasNorm: false, accumulates: true })) },
    { ...common, kind: 'gated-gemv', products: [{ ...pair, hasNorm: true, accumulates: false }] },
  ];
}

function argsFor(device: GpuDevice, more: Partial<AutotuneArgs> = {}): AutotuneArgs {
  const budgetMs = 60_000;
  return {
    ...{ device, shapes: shapesOf(device), maxRows: 2, folder: null, budgetMs, candidates: () => CANDIDATES },
    ...more,
  };
}

describe('measuring', () => {
  gpuTest('gives every shape and class of rows one of the candidates, or leaves it to the plan', async (device) => {
    const progress: number[] = [];
    const table = await autotune(argsFor(device, { onProgress: (fraction) => progress.push(fraction) }));
    expect(table.entries.map(({ kind, rows }) => `${kind} ${rows}`)).toEqual([
      'gemv 1',
      'gated-gemv 1',
      'gemv 2',
      'gated-gemv 2',
    ]);
    for (const { sizes } of table.entries) expect([null, ...CANDIDATES]).toContain(sizes);
    expect(progress).toEqual([0, 0.25, 0.5, 0.75]);
  });

  gpuTest('without time measures nothing, and says nothing', async (device) => {
    const table = await autotune(argsFor(device, { budgetMs: 0 }));
    expect(table.entries).toEqual([]);
    expect(table.lookup('gemv', 'f32', N, K, 1)).toBeNull();
  });

  gpuTest('one shape takes no more than its share, and a start without time for more has done one', async (device) => {
    const wgs = [32, 64, 128, 256];
    const many = wgs.flatMap((wg) => [1, 2].map((rows) => ({ wg, rows, unroll: 1, load: 1 })));
    const run = async (msPerLook: number) => {
      let ms = 0;
      const now = () => {
        ms += msPerLook;
        return ms;
      };
      const tried: number[] = [];
      const candidates = () => many.filter((_, i) => (i === 0 ? tried.push(i) : true));
      const table = await autotune(argsFor(device, { budgetMs: 300, now, candidates }));
      return [table.entries.length, tried.length];
    };
    // Looks at the clock: one for the deadline, one for each shape, one for each batch of candidates.
    expect(await run(60)).toEqual([2, 2]);
    expect(await run(140)).toEqual([1, 1]);
    expect(await run(1)).toEqual([4, 4]);
  });

  gpuTest('a candidate that cannot be made leaves the plans', async (device) => {
    const broken = { wg: 100_000, rows: 2, unroll: 1, load: 1 };
    const table = await autotune(argsFor(device, { candidates: () => [broken] }));
    expect(table.entries.every(({ sizes }) => sizes === null)).toBe(true);
    device.throwIfFailed();
    expect(device.compiled.every((kernel) => kernel.isCompiled)).toBe(true);
  });

  for (const sizes of [...CANDIDATES, { wg: 64, rows: 8, unroll: 1, load: 1 }]) {
    gpuTest(`sizes change no result: ${JSON.stringify(sizes)}`, async (device) => {
      const [w, gate, up] = ['w', 'gate', 'up'].map((label) => weights(device, label)) as [Matrix, Matrix, Matrix];
      const results = async (tuned: TunedTable) => {
        const ops = { ...context(device), subgroups: device.hasSubgroups, software: false, tuned };
        const x = tensor(device, 'x', 1, K, randomNumbers(5, K));
        const [y, z] = [tensor(device, 'y', 1, N), tensor(device, 'z', 1, N)];
        recordMatmul(ops, { x, weight: w, y, numRows: 1 });
        recordGatedMatmul(ops, { x, gate, up, activation: 'silu', y: z, numRows: 1 });
        ops.recorder.submit();
        return [await readTensor(device, y), await readTensor(device, z)];
      };
      const table = new TunedTable();
      for (const kind of ['gemv', 'gated-gemv'] as const)
        table.add({ kind, format: 'f32', n: N, k: K, rows: 1, sizes });
      const [planned, tuned] = [await results(new TunedTable()), await results(table)];
      for (const i of [0, 1]) expectClose('matmul', tuned[i] ?? [], planned[i] ?? [], `product ${i}`);
      expect(device.compiled.some(({ label }) => label.includes(`WG=${sizes.wg} ROWS=${sizes.rows} COLS=1`))).toBe(
        true,
      );
    });
  }
});

describe('what was measured', () => {
  gpuTest('is kept, and read at the next start without measuring', async (device) => {
    const into = freshFolder();
    const first = await autotune(argsFor(device, { folder: into }));
    const failing = () => expect.unreachable();
    const second = await autotune(argsFor(device, { folder: into, candidates: failing }));
    expect(second.entries).toEqual(first.entries);
    expect((await readdir(into)).length).toBe(1);
  });

  gpuTest('is completed by the next start where time ran out', async (device) => {
    const into = freshFolder();
    const first = await autotune(argsFor(device, { folder: into, maxRows: 1 }));
    expect(first.entries.length).toBe(2);
    const all = await autotune(argsFor(device, { folder: into }));
    expect(all.entries.length).toBe(4);
    expect(all.entries.slice(0, 2)).toEqual([...first.entries]);
  });

  for (const [what, text] of [
    ['cut off', '{"key": {"ver'],
    ['of another kind', '[1, 2]'],
    ['null', 'null'],
    ['of another adapter', '{"key": {"version": 1, "adapter": "another"}, "entries": []}'],
  ] as const) {
    gpuTest(`a file that is ${what} is measured anew and written over`, async (device) => {
      const into = freshFolder();
      const args = argsFor(device, { folder: into, maxRows: 1, candidates: () => CANDIDATES.slice(0, 1) });
      const path = tuningPath(into, tuningKey(device));
      await autotune(args);
      await writeFile(path, text);
      const table = await autotune(args);
      expect(table.entries.length).toBe(2);
      expect(JSON.parse(await readFile(path, 'utf8')).entries).toEqual(table.entries);
    });
  }

  gpuTest('that no longer fits the adapter is measured anew', async (device) => {
    const into = freshFolder();
    const args = argsFor(device, { folder: into, maxRows: 1, candidates: () => CANDIDATES.slice(0, 1) });
    await autotune(args);
    const path = tuningPath(into, tuningKey(device));
    const kept = JSON.parse(await readFile(path, 'utf8'));
    kept.entries[0].sizes = { wg: 1_000_000, rows: 2, unroll: 1, load: 1 };
    await writeFile(path, JSON.stringify(kept));
    const table = await autotune(args);
    expect(table.entries.every(({ sizes }) => sizes === null || sizes.wg === CANDIDATES[0]?.wg)).toBe(true);
  });

  gpuTest(
    'is done without at the start after one that died of measuring, and tried again by the next',
    async (device) => {
      const into = freshFolder();
      const dying = argsFor(device, { folder: into, maxRows: 1 });
      device.throwIfFailed = () => {
        throw new EngineError('device-lost', 'gone');
      };
      const failing = () => {
        throw new Error('no candidates');
      };
      await expect(autotune({ ...dying, candidates: failing })).rejects.toThrow('gone');
      Reflect.deleteProperty(device, 'throwIfFailed');
      expect((await autotune({ ...dying, candidates: () => expect.unreachable() })).entries).toEqual([]);
      expect((await autotune(dying)).entries.length).toBe(2);
      expect((await autotune({ ...dying, candidates: () => expect.unreachable() })).entries.length).toBe(2);
    },
  );

  gpuTest('is used all the same where it cannot be written', async (device) => {
    const file = join(folder, 'a file');
    await writeFile(file, '');
    const table = await autotune(argsFor(device, { folder: join(file, 'below'), maxRows: 1 }));
    expect(table.entries.length).toBe(2);
  });
});

describe('candidates', () => {
  const shape = (rest: Partial<GemvShape> = {}): GemvShape => ({
    ...{ n: 4096, columns: 4096, gated: false, format: 'bf16', cols: 1 },
    ...rest,
  });

  test('fit registers, workgroup memory and the size of a workgroup, and are what the planner does not say', () => {
    for (const format of ['f32', 'bf16', 'int8', 'int4'] as const) {
      for (const cols of [1, 2, 4, 8, 16]) {
        for (const [gated, subgroups] of [false, true].flatMap((a) => [false, true].map((b) => [a, b] as const))) {
          const limits = { ...LIMITS, subgroups, workgroupBytes: 16384 };
          const what = shape({ format, cols, gated });
          const planned = planGemv(what, limits.workgroupBytes);
          // In less memory the norm of many rows is an op of its own.
          expect(gemvFits(planned, what, { ...limits, workgroupBytes: 32768 })).toBe(true);
          const first = gemvCandidates(what, planned, limits);
          const all = [...first, ...gemvRefinements(what, planned, limits)];
          expect(all.every((sizes) => gemvFits(sizes, what, limits))).toBe(true);
          expect(all).not.toContainEqual(planned);
          expect(new Set(all.map((sizes) => JSON.stringify(sizes))).size).toBe(all.length);
          expect(first.length).toBeGreaterThan(0);
          expect(all.length).toBeLessThan(24);
        }
      }
    }
    const narrow = { ...LIMITS, maxWorkgroupSize: 64 };
    expect(gemvCandidates(shape(), planGemv(shape(), 32768), narrow).every(({ wg }) => wg <= 64)).toBe(true);
  });

  test('the likeliest come first, and no lane is without weights', () => {
    const [first] = gemvCandidates(shape(), { wg: 64, rows: 4, unroll: 2, load: 1 }, LIMITS);
    expect([first?.wg === 64, first?.rows === 4].filter(Boolean).length).toBe(1);
    const short = shape({ columns: 512 });
    expect(gemvCandidates(short, planGemv(short, 32768), LIMITS).every(({ wg }) => wg <= 64)).toBe(true);
  });

  test('loads of 16 bytes are tried where a chunk is less than that, for one and two rows', () => {
    const loads = (what: GemvShape) =>
      new Set(gemvRefinements(what, planGemv(what, 32768), LIMITS).map(({ load }) => load));
    expect(loads(shape({ format: 'int4' }))).toContain(4);
    expect(loads(shape({ format: 'int8', cols: 2 }))).toContain(2);
    expect(loads(shape({ format: 'int8', cols: 4 })).has(2)).toBe(false);
    expect([...loads(shape())]).toEqual([1]);
  });
});

describe('entries from a file', () => {
  const good = {
    kind: 'gemv',
    format: 'bf16',
    n: 8,
    k: 16,
    rows: 1,
    sizes: { wg: 64, rows: 4, unroll: 2, load: 1 },
  } as const;

  test('are taken where they make sense', () => {
    const bad = [null, 3, { ...good, kind: 'tile' }, { ...good, n: -1 }, { ...good, sizes: 4 }];
    const worse = [
      { ...good, sizes: { wg: 1.5, rows: 4, unroll: 1, load: 1 } },
      { ...good, rows: '1' },
      { ...good, sizes: {} },
      { ...good, sizes: { wg: 64, rows: 4 } },
      { ...good, format: 'q5' },
    ];
    expect(readEntries([good, ...bad, ...worse, { ...good, sizes: null }], () => true)).toEqual([
      good as never,
      { ...good, sizes: null } as never,
    ]);
    expect(readEntries([good], () => false)).toEqual([]);
    expect(readEntries({ 0: good }, () => true)).toEqual([]);
  });

  test('are found by their whole shape, and the first one of a shape stays', () => {
    const table = new TunedTable();
    table.add({ ...good, kind: 'gemv' });
    table.add({ ...good, kind: 'gemv', sizes: null });
    expect(table.lookup('gemv', 'bf16', 8, 16, 1)).toEqual({ wg: 64, rows: 4, unroll: 2, load: 1 });
    expect(table.lookup('gated-gemv', 'bf16', 8, 16, 1)).toBeNull();
    expect(table.lookup('gemv', 'f16', 8, 16, 1)).toBeNull();
    expect(table.lookup('gemv', 'bf16', 16, 8, 1)).toBeNull();
    expect(table.entries.length).toBe(1);
  });
});

test('a model’s products are listed by shape, the largest first', () => {
  const fake = (rows: number, columns: number): Matrix => ({ format: 'bf16', rows, columns, shards: [] });
  const ffn = { kind: 'dense', gate: fake(128, 64), up: fake(128, 64), down: fake(64, 128) };
  const layer = { qkv: fake(96, 64), qkvBias: null, o: fake(64, 64), oBias: { length: 64 }, ffn };
  const shapes = modelShapes({ layers: [layer, layer], head: fake(1000, 64) } as never);
  const sizes = shapes.map(({ bytes, products }) => bytes * products.length);
  expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
  expect(shapes.map(({ kind, n, k, products }) => `${kind} ${n}x${k} ${products.length}`)).toEqual([
    'gemv 1000x64 1',
    'gated-gemv 128x64 2',
    'gemv 64x128 2',
    'gemv 96x64 2',
    'gemv 64x64 2',
  ]);
  const along = shapes.map(({ products: [it] }) =>
    [it?.hasNorm, it?.accumulates, Boolean(it?.bias)].map(Number).join(''),
  );
  expect(along).toEqual(['000', '100', '010', '100', '011']);
});
