import { describe, expect } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { ropeTable } from '../../src/engine/models/rope-table.ts';
import { type CacheFormat, type CacheShape, layerCacheBytes, NO_SLOT } from '../../src/engine/ops/kv-cache.ts';
import { recordRopeKv } from '../../src/engine/ops/rope-kv.ts';
import { context, gpuTest, randomNumbers, readTensor, tensor, upload, vector } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
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
  { ...base, heads: 4, kvHeads: 2, headDim: 64, dims: 0, tokens: 3, style: null },
];

const THETA = 10000;
const EPS = 1e-6;
const NUM_BLOCKS = 9;
const MAX_POSITIONS = 3000;
const SENTINEL = 77;

/** A cache full of a sentinel that both formats hold exactly. */
function sentinelCache(device: GpuDevice, shape: CacheShape) {
  const bytes = layerCacheBytes(shape);
  const fill = () =>
    shape.format === 'f32'
      ? new Float32Array(bytes / 4).fill(SENTINEL)
      : new Uint8Array(new Float16Array(bytes / 2).fill(SENTINEL).buffer);
  return { k: upload(device, 'k', fill()), v: upload(device, 'v', fill()) };
}

async function readCache(
  device: GpuDevice,
  shape: CacheShape,
  buffer: { k: ReturnType<typeof upload>; v: ReturnType<typeof upload> },
) {
  const read = async (from: ReturnType<typeof upload>) => {
    const bytes = await device.read(from, 0, layerCacheBytes(shape));
    const copy = bytes.slice().buffer;
    return Float64Array.from(shape.format === 'f32' ? new Float32Array(copy) : new Float16Array(copy));
  };
  return { k: await read(buffer.k), v: await read(buffer.v) };
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
  const wantK = new Float64Array(layerCacheBytes(shape) / (format === 'f32' ? 4 : 2)).fill(SENTINEL);
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
      const kept = format === 'f16' ? 'f16Storage' : 'rope';
      expectClose(kept, got.k, wantK, 'k', format === 'f16' ? 0 : scale);
      expectClose(format === 'f16' ? 'f16Storage' : 'exact', got.v, wantV, 'v');
      const untouched = (values: Float64Array) => values.filter((value) => value === SENTINEL).length;
      expect(untouched(got.k)).toBe(untouched(wantK));
    });
  }

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
