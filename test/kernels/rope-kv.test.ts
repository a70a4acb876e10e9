import { describe, expect } from 'bun:test';
import type { GpuBuffer } from '../../src/engine/gpu/buffer.ts';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { ropeTable } from '../../src/engine/models/rope-table.ts';
import {
  type CacheFormat,
  type CacheShape,
  type LayerCache,
  layerCacheBytes,
  NO_SLOT,
} from '../../src/engine/ops/kv-cache.ts';
import { recordRopeKv } from '../../src/engine/ops/rope-kv.ts';
import { context, gpuTest, randomNumbers, readTensor, tensor, upload, vector } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { fp8Values, loadRows, storeRows } from '../reference/kv-cache.ts';
import { rmsNormReference } from '../reference/rms-norm.ts';
import { rotateReference } from '../reference/rope-kv.ts';

interface Case {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly dims: number;
  readonly style: 'half' | 'interleaved' | null;
  readonly norm: boolean;
  readonly format: CacheFormat;
  readonly blockSize: number;
  readonly tokens: number;
}

const base = { style: 'half', norm: false, format: 'f32', blockSize: 8 } as const;
const CASES: readonly Case[] = [
  { ...base, heads: 1, kvHeads: 1, headDim: 16, dims: 16, tokens: 1 },
  { ...base, heads: 6, kvHeads: 2, headDim: 32, dims: 32, tokens: 7, format: 'f16' },
  { ...base, heads: 4, kvHeads: 4, headDim: 64, dims: 64, tokens: 33, blockSize: 16 },
  { ...base, heads: 8, kvHeads: 1, headDim: 128, dims: 128, tokens: 5, norm: true, format: 'f16', blockSize: 32 },
  { ...base, heads: 3, kvHeads: 1, headDim: 256, dims: 256, tokens: 2, norm: true },
  { ...base, heads: 2, kvHeads: 2, headDim: 80, dims: 20, tokens: 9, style: 'interleaved' },
  { ...base, heads: 5, kvHeads: 1, headDim: 40, dims: 18, tokens: 4, format: 'f16' },
  { ...base, heads: 4, kvHeads: 2, headDim: 64, dims: 0, tokens: 3, style: null, format: 'bf16' },
  { ...base, heads: 6, kvHeads: 2, headDim: 96, dims: 96, tokens: 11, norm: true, format: 'int8' },
  { ...base, heads: 5, kvHeads: 1, headDim: 40, dims: 40, tokens: 9, format: 'int8', blockSize: 16 },
  { ...base, heads: 2, kvHeads: 2, headDim: 160, dims: 80, tokens: 6, format: 'e4m3' },
  { ...base, heads: 3, kvHeads: 3, headDim: 32, dims: 32, tokens: 6, style: 'interleaved', format: 'e5m2' },
];

/** How far what is stored may be from what was to be stored; int8 is as exact as its row's largest magnitude, here below 10. */
const STORAGE = {
  f32: { name: 'rope', scale: 10 },
  f16: { name: 'f16Storage', scale: 0 },
  bf16: { name: 'bf16Storage', scale: 0 },
  int8: { name: 'int8Storage', scale: 10 },
  e4m3: { name: 'e4m3Storage', scale: 0 },
  e5m2: { name: 'e5m2Storage', scale: 0 },
} as const;

const THETA = 10000;
const EPS = 1e-6;
const NUM_BLOCKS = 9;
const MAX_POSITIONS = 3000;
/** What an untouched row of the cache holds: a number that only int8 rounds, by an ulp of its scale. */
const SENTINEL = 80;

/** A cache full of the sentinel. */
function sentinelCache(device: GpuDevice, shape: CacheShape) {
  const rows = new Float32Array(shape.numBlocks * shape.kvHeads * shape.blockSize * shape.headDim).fill(SENTINEL);
  const { bytes } = storeRows(shape.format, rows, shape.headDim, shape.blockSize);
  expect(bytes.length).toBe(layerCacheBytes(shape));
  return { k: upload(device, 'k', bytes), v: upload(device, 'v', bytes) };
}

async function readCache(device: GpuDevice, shape: CacheShape, cache: LayerCache) {
  const read = async (from: GpuBuffer) =>
    loadRows(shape.format, await device.read(from, 0, layerCacheBytes(shape)), shape.headDim, shape.blockSize);
  return { k: await read(cache.k), v: await read(cache.v) };
}

function runCase(device: GpuDevice, of: Case, seed: number) {
  const { heads, kvHeads, headDim, dims, style, norm, format, blockSize, tokens } = of;
  const shape: CacheShape = { format, kvHeads, headDim, blockSize, numBlocks: NUM_BLOCKS };
  const columns = (heads + 2 * kvHeads) * headDim;
  const qkv = randomNumbers(seed, tokens * columns, 2);
  const [qWeight, kWeight] = [randomNumbers(seed + 1, headDim), randomNumbers(seed + 2, headDim)];
  const positions = Uint32Array.from({ length: tokens }, (_, t) => (t * 577) % MAX_POSITIONS);
  // Scattered over the blocks, none twice; every fifth token is not kept.
  const numSlots = NUM_BLOCKS * blockSize;
  const slots = Uint32Array.from({ length: tokens }, (_, t) => (t % 5 === 4 ? NO_SLOT : (t * 31 + 5) % numSlots));
  const rope = { style: style ?? 'half', dims, theta: THETA, scaling: { kind: 'default' } } as const;
  const ops = context(device);
  const q = tensor(device, 'q', tokens, heads * headDim);
  const cache = sentinelCache(device, shape);
  recordRopeKv(ops, {
    qkv: tensor(device, 'qkv', tokens, columns, qkv),
    q,
    cache,
    shape,
    numHeads: heads,
    numTokens: tokens,
    positions: ops.recorder.words(positions),
    slots: ops.recorder.words(slots),
    rope: style && { buffer: upload(device, 'rope', ropeTable(rope, MAX_POSITIONS)), style, dims },
    norm: norm ? { q: vector(device, 'qw', qWeight), k: vector(device, 'kw', kWeight), eps: EPS } : null,
  });
  ops.recorder.submit();

  const wantQ: number[] = [];
  const wantK = new Float64Array(NUM_BLOCKS * kvHeads * blockSize * headDim).fill(SENTINEL);
  const wantV = wantK.slice();
  const sources = { q: qWeight, k: kWeight };
  for (let t = 0; t < tokens; t++) {
    const position = positions[t] ?? 0;
    const slot = slots[t] ?? 0;
    const headOf = (index: number) => qkv.subarray(t * columns + index * headDim, t * columns + (index + 1) * headDim);
    const turned = (index: number, kind: 'q' | 'k') => {
      const x = norm ? rmsNormReference(headOf(index), sources[kind], EPS) : headOf(index);
      return rotateReference(x, style && { style, dims, angle: (i) => position * THETA ** ((-2 * i) / dims) });
    };
    for (let h = 0; h < heads; h++) wantQ.push(...turned(h, 'q'));
    if (slot === NO_SLOT) continue;
    for (let g = 0; g < kvHeads; g++) {
      const row = (Math.floor(slot / blockSize) * kvHeads + g) * blockSize + (slot % blockSize);
      wantK.set(turned(heads + g, 'k'), row * headDim);
      wantV.set(headOf(heads + kvHeads + g), row * headDim);
    }
  }
  return { shape, q, cache, wantQ, wantK, wantV };
}

describe('rope-kv', () => {
  for (const [index, of] of CASES.entries()) {
    const { heads, kvHeads, headDim, dims, style, norm, format, blockSize, tokens } = of;
    const name = `${heads}/${kvHeads} heads of ${headDim}, ${style ?? 'no'} rotation of ${dims}, norm=${norm}, ${format}, B=${blockSize}, T=${tokens}`;
    gpuTest(name, async (device) => {
      const { shape, q, cache, wantQ, wantK, wantV } = runCase(device, of, index + 1);
      // Rotation adds products of the size of the whole head.
      const scale = 10;
      expectClose('rope', await readTensor(device, q), wantQ, 'q', scale);
      const got = await readCache(device, shape, cache);
      const { name: tolerance, scale: width } = STORAGE[format];
      expectClose(tolerance, got.k, wantK, 'k', width);
      expectClose(format === 'f32' ? 'exact' : tolerance, got.v, wantV, 'v', width);
      const untouched = (values: Float64Array) => values.filter((value) => Math.abs(value - SENTINEL) < 1e-4).length;
      expect(untouched(got.k)).toBe(untouched(wantK));
    });
  }

  for (const format of ['bf16', 'e4m3', 'e5m2'] as const) {
    gpuTest(`${format} is rounded as in float64, at and around every tie`, async (device) => {
      const values = format === 'bf16' ? bf16Cases() : fp8Cases(format);
      const { bytes } = storeRows(format, values, HEAD, BLOCK);
      expectSameBytes(await storedBytes(device, format, values), bytes, values);
    });
  }

  gpuTest('int8 is the nearest multiple of a scale that is the largest magnitude / 127', async (device) => {
    const numRows = 16;
    const values = randomNumbers(3, numRows * HEAD, 3);
    for (let row = 0; row < numRows; row++) {
      const size = [1, 1e-6, 3e4, 1e20][row % 4] ?? 1;
      for (let d = 0; d < HEAD; d++) values[row * HEAD + d] = (values[row * HEAD + d] ?? 0) * size;
    }
    values.fill(0, 5 * HEAD, 6 * HEAD);
    const bytes = await storedBytes(device, 'int8', values);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let row = 0; row < numRows; row++) {
      const unit = Math.floor(row / BLOCK) * BLOCK * (HEAD + 4);
      const scale = view.getFloat32(unit + BLOCK * HEAD + (row % BLOCK) * 4, true);
      const own = values.subarray(row * HEAD, (row + 1) * HEAD);
      const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(Math.abs(scale - largest / 127)).toBeLessThanOrEqual((largest / 127) * 1e-6);
      own.forEach((value, d) => {
        const q = (bytes[unit + (row % BLOCK) * HEAD + d] ?? 0) - 128;
        // The division by the scale is f32: a tie may fall either way.
        const off = scale === 0 ? Math.abs(q) : Math.abs(value / scale - q);
        if (!(off <= 0.5 + 1e-4)) throw new Error(`row ${row}: ${value} is kept as ${q} * ${scale}`);
      });
    }
  });

  gpuTest('values that f16 cannot hold are kept as its largest', async (device) => {
    const shape: CacheShape = { format: 'f16', kvHeads: 1, headDim: 16, blockSize: 8, numBlocks: 1 };
    const ops = context(device);
    const cache = sentinelCache(device, shape);
    const qkv = new Float32Array(48).fill(1e6).fill(-7e4, 40);
    recordRopeKv(ops, {
      qkv: tensor(device, 'qkv', 1, 48, qkv),
      q: tensor(device, 'q', 1, 16),
      cache,
      shape,
      numHeads: 1,
      numTokens: 1,
      positions: ops.recorder.words(Uint32Array.of(0)),
      slots: ops.recorder.words(Uint32Array.of(0)),
      rope: null,
      norm: null,
    });
    ops.recorder.submit();
    const { k, v } = await readCache(device, shape, cache);
    expect([...k.subarray(0, 16)]).toEqual(new Array(16).fill(65504));
    expect([...v.subarray(0, 16)]).toEqual([...new Array(8).fill(65504), ...new Array(8).fill(-65504)]);
  });
});

const HEAD = 256;
const BLOCK = 8;

/** What rope-kv writes for these values, one token of one kv head after the other. Shapes: values [tokens][HEAD]. */
async function storedBytes(device: GpuDevice, format: CacheFormat, values: Float32Array): Promise<Uint8Array> {
  const tokens = values.length / HEAD;
  const shape: CacheShape = {
    format,
    kvHeads: 1,
    headDim: HEAD,
    blockSize: BLOCK,
    numBlocks: Math.ceil(tokens / BLOCK),
  };
  const ops = context(device);
  const cache = sentinelCache(device, shape);
  const columns = 3 * HEAD;
  const qkv = new Float32Array(tokens * columns);
  for (let t = 0; t < tokens; t++) qkv.set(values.subarray(t * HEAD, (t + 1) * HEAD), t * columns + 2 * HEAD);
  recordRopeKv(ops, {
    qkv: tensor(device, 'qkv', tokens, columns, qkv),
    q: tensor(device, 'q', tokens, HEAD),
    cache,
    shape,
    numHeads: 1,
    numTokens: tokens,
    positions: ops.recorder.words(new Uint32Array(tokens)),
    slots: ops.recorder.words(Uint32Array.from({ length: tokens }, (_, t) => t)),
    rope: null,
    norm: null,
  });
  ops.recorder.submit();
  return device.read(cache.v, 0, layerCacheBytes(shape));
}

function expectSameBytes(got: Uint8Array, want: Uint8Array, values: Float32Array): void {
  const size = want.length / values.length;
  for (let i = 0; i < want.length; i++) {
    if (got[i] !== want[i]) {
      throw new Error(`${values[Math.floor(i / size)]}: byte ${i % size} is ${got[i]}, expected ${want[i]}`);
    }
  }
}

/** Whole units of values, the rest zeros. */
function padded(values: readonly number[]): Float32Array {
  const out = new Float32Array(Math.ceil(values.length / (HEAD * BLOCK)) * HEAD * BLOCK);
  out.set(values);
  return out;
}

const words = new Uint32Array(1);
const asFloat = new Float32Array(words.buffer);

/** The f32 that lies `steps` beyond a positive one. */
function beside(value: number, steps: number): number {
  asFloat[0] = value;
  words[0] = (words[0] ?? 0) + steps;
  return asFloat[0];
}

/** The sign of NaN is nobody's business. */
function bothSigns(values: readonly number[]): number[] {
  return values.flatMap((value) => (Number.isNaN(value) ? [value] : [value, -value]));
}

function fp8Cases(format: 'e4m3' | 'e5m2'): Float32Array {
  const finite = [...fp8Values(format)].filter((value) => value >= 0 && Number.isFinite(value));
  const cases = [1e-40, 1e-30, 1e9, 3e38, Number.POSITIVE_INFINITY, Number.NaN];
  finite.forEach((value, i) => {
    const middle = (value + (finite[i + 1] ?? 2 * value)) / 2;
    cases.push(value, middle, beside(middle, -1), beside(middle, 1));
  });
  return padded(bothSigns(cases));
}

function bf16Cases(): Float32Array {
  const cases = [Number.NaN, Number.POSITIVE_INFINITY, 1e-30];
  for (let bits = 0x3f7e; bits < 0x3f84; bits++) {
    words[0] = bits * 2 ** 16 + 0x8000;
    const middle = asFloat[0] ?? 0;
    cases.push(middle, beside(middle, -1), beside(middle, 1), beside(middle, -0x8000));
  }
  return padded(bothSigns(cases));
}
