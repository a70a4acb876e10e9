/**
 * A model of a real shape with made-up weights, ready to run: no file is read, and one small chunk of random numbers is all the host holds.
 *
 * Owns a checkpoint that exists only as names and shapes, so that the engine's own loader decides how weights lie on the GPU.
 * Next: `step-driver.ts` (runs it), `src/engine/models/weights.ts` (what is asked for).
 */
import { loadConfig, processSurroundings } from '../../src/config/load-config.ts';
import type { EngineConfig } from '../../src/config/server-config.ts';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { adapterMemory } from '../../src/engine/gpu/memory.ts';
import { type MemoryPlan, planMemory } from '../../src/engine/memory-plan.ts';
import type { ModelSpec } from '../../src/engine/models/spec.ts';
import { loadModelWeights } from '../../src/engine/models/weights.ts';
import { type CacheShape, cacheRowBytes, type LayerCache, layerCacheBytes } from '../../src/engine/ops/kv-cache.ts';
import { isQuantised, type MatrixFormat } from '../../src/engine/ops/tensor.ts';
import { Runner, type RunnerParts } from '../../src/engine/runner.ts';
import { prepareDevice } from '../../src/engine/self-check/prepare-device.ts';
import { tuneModel } from '../../src/engine/tune/tune-model.ts';
import { EngineError } from '../../src/engine/types.ts';
import { WeightLoader } from '../../src/engine/weights/loader.ts';
import type { FloatDtype, TensorEntry } from '../../src/engine/weights/tensor-entry.ts';
import type { WeightFiles } from '../../src/engine/weights/weight-files.ts';
import { filledBuffer } from './bench-values.ts';
import { weightBytes } from './roofline.ts';
import type { DrivenModel } from './step-driver.ts';

const CHUNK_BYTES = 2 ** 20;
/** What the made-up files hold; the loader quantises. */
const DTYPES: Record<MatrixFormat, FloatDtype> = { f32: 'F32', f16: 'F16', bf16: 'BF16', int8: 'BF16', int4: 'BF16' };

const AUTO_CACHE = { f32: 'float32', others: 'float16' } as const;

/** Less than a server takes: a cache that is only just too large would cost all cases of a model. */
const MOST_MEMORY = 0.85;

/** What the cases of a benchmark need at most. */
export interface SyntheticNeeds {
  readonly maxSequences: number;
  /** Of the longest sequence. Units: tokens. */
  readonly maxModelLen: number;
  /** Blocks of each case, by their size; the cache gets those of the largest case that fits. */
  readonly blocksOfCases: (blockSize: number) => readonly number[];
}

/** A synthetic model. `plan.numBlocks` and `plan.maxModelLen` say which cases fit. */
export interface SyntheticModel extends DrivenModel {
  readonly kvBytes: number;
  readonly weightBytes: number;
  release(): void;
}

/** How weights and cache are stored, and what products of integer weights take. */
export interface SyntheticFormats {
  readonly dtype: MatrixFormat;
  readonly kvDtype: EngineConfig['kvCacheDtype'];
  readonly intActivations: boolean;
}

/** Makes a model. Throws: EngineError('load-failed') with the reason where it does not fit the adapter. */
export async function makeSyntheticModel(
  device: GpuDevice,
  spec: ModelSpec,
  { dtype: format, kvDtype, intActivations }: SyntheticFormats,
  needs: SyntheticNeeds,
): Promise<SyntheticModel> {
  const loaded = loadConfig({ ...processSurroundings(), args: [] });
  if (loaded.kind !== 'config') throw new Error('no configuration');
  const memory = adapterMemory(device.adapter, loaded.config.engine.gpuMemoryGib);
  const utilization = Math.min(loaded.config.engine.gpuMemoryUtilization, MOST_MEMORY);
  const needed = weightBytes(spec, format);
  if (needed > memory.bytes * utilization) {
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    throw new EngineError('load-failed', `weights of ${gib(needed)} in ${gib(memory.bytes)} (${memory.source})`);
  }
  const made: { destroy(): void }[] = [];
  const restore = remembering(device, made);
  try {
    const wanted = { ...loaded.config.engine, intActivations, quantization: isQuantised(format) ? format : null };
    await prepareDevice(device, spec, wanted, device.adapter.isSoftware, console.error);
    const loader = new WeightLoader(device, new SyntheticFiles(spec, DTYPES[format]), format, () => {});
    const weights = await loadModelWeights(loader, spec);
    await device.flush();
    const config = {
      ...loaded.config.engine,
      gpuMemoryUtilization: utilization,
      kvCacheDtype: kvDtype === 'auto' ? AUTO_CACHE[format === 'f32' ? 'f32' : 'others'] : kvDtype,
      maxModelLen: needs.maxModelLen,
      maxNumSeqs: needs.maxSequences,
    };
    const planned = planMemory(spec, config, {
      bindingBytes: device.limits.maxStorageBufferBindingSize,
      totalBytes: memory.bytes,
      weightBytes: loader.storedBytes,
      isSoftware: device.adapter.isSoftware,
    });
    const fitting = needs.blocksOfCases(planned.blockSize).filter((blocks) => blocks <= planned.numBlocks);
    const plan: MemoryPlan = { ...planned, numBlocks: Math.max(1, ...fitting) };
    const tuned = await tuneModel(device, weights, {
      folder: loaded.config.engine.tuningFolder,
      maxRows: needs.maxSequences,
    });
    let runner: Runner | null = null;
    const fault = await device.faultOf(async () => {
      runner = await makeRunner({ device, spec, weights, plan, tuned, dp4a: intActivations });
    });
    if (fault !== null || runner === null) throw new EngineError('load-failed', `no room for its cache: ${fault}`);
    restore();
    const kvBytes = cacheRowBytes({ format: plan.kvFormat, headDim: spec.headDim }) / spec.headDim;
    return {
      ...{ device, spec, plan, runner, kvBytes, weightBytes: loader.storedBytes },
      release: () => {
        for (const buffer of made) buffer.destroy();
      },
    };
  } catch (error) {
    restore();
    for (const buffer of made) buffer.destroy();
    throw error;
  }
}

async function makeRunner(parts: Pick<RunnerParts, 'device' | 'spec' | 'weights' | 'plan' | 'tuned' | 'dp4a'>) {
  const { device, spec, plan } = parts;
  const { blockSize, numBlocks } = plan;
  const shape: CacheShape = {
    ...{ format: plan.kvFormat, kvHeads: spec.kvHeads, headDim: spec.headDim, blockSize, numBlocks },
  };
  const caches: LayerCache[] = [];
  for (let i = 0; i < spec.layers.length; i++) {
    const bytes = layerCacheBytes(shape);
    caches.push({ k: await filledBuffer(device, `k ${i}`, bytes), v: await filledBuffer(device, `v ${i}`, bytes) });
  }
  return new Runner({ ...parts, shape, caches, software: device.adapter.isSoftware });
}

/** Notes every buffer that is made, because a runner does not say what it holds. Mutates: the device, until the returned call. */
function remembering(device: GpuDevice, made: { destroy(): void }[]): () => void {
  const create = device.createBuffer.bind(device);
  device.createBuffer = (...args) => {
    const buffer = create(...args);
    made.push(buffer.raw);
    return buffer;
  };
  return () => {
    device.createBuffer = create;
  };
}

/** A checkpoint of random numbers: every tensor is the same chunk over and over. */
class SyntheticFiles implements WeightFiles {
  private readonly entries = new Map<string, TensorEntry>();
  private readonly matrixChunk: Uint8Array;
  private readonly normChunk: Uint8Array;

  constructor(spec: ModelSpec, dtype: FloatDtype) {
    for (const [name, shape] of tensorShapes(spec)) {
      const byteLength = shape.reduce((a, b) => a * b, dtype === 'F32' ? 4 : 2);
      this.entries.set(name, { name, dtype, shape, byteOffset: 0, byteLength, file: 'synthetic' });
    }
    this.matrixChunk = randomChunk(dtype, 0, 1 / Math.sqrt(spec.hidden));
    this.normChunk = randomChunk(dtype, 1, 0.1);
  }

  names(): readonly string[] {
    return [...this.entries.keys()];
  }
  has(name: string): boolean {
    return this.entries.has(name);
  }
  entry(name: string): TensorEntry {
    const entry = this.entries.get(name);
    if (!entry) throw new EngineError('load-failed', `no synthetic tensor ${name}`);
    return entry;
  }
  async read(name: string, into: Uint8Array, byteOffsetInTensor: number): Promise<void> {
    const chunk = this.entry(name).shape.length === 1 ? this.normChunk : this.matrixChunk;
    for (let at = 0; at < into.length; ) {
      const from = (byteOffsetInTensor + at) % chunk.length;
      const part = chunk.subarray(from, from + Math.min(chunk.length - from, into.length - at));
      into.set(part, at);
      at += part.length;
    }
  }
  async close(): Promise<void> {}
}

function* tensorShapes(spec: ModelSpec): Generator<[string, number[]]> {
  const { names, hidden, vocab, headDim, bias } = spec;
  const q = spec.heads * headDim;
  const kv = spec.kvHeads * headDim;
  yield [names.embedding, [vocab, hidden]];
  yield [names.finalNorm, [hidden]];
  if (!spec.tiedHead) yield [names.head, [vocab, hidden]];
  for (let i = 0; i < spec.layers.length; i++) {
    const name = (template: string) => template.replace('{i}', String(i));
    yield [name(names.attentionNorm), [hidden]];
    yield [name(names.ffnNorm), [hidden]];
    const isWhole = spec.qkNorm === 'whole';
    if (names.qNorm) yield [name(names.qNorm), [isWhole ? q : headDim]];
    if (names.kNorm) yield [name(names.kNorm), [isWhole ? kv : headDim]];
    const linears: [string, number, number, boolean][] = [
      [names.q, q, hidden, bias.qkv],
      [names.k, kv, hidden, bias.qkv],
      [names.v, kv, hidden, bias.qkv],
      [names.o, hidden, q, bias.o],
      ...ffnLinears(spec, spec.layers[i]?.ffn === 'moe'),
    ];
    for (const [template, rows, columns, hasBias] of linears) {
      yield [`${name(template)}.weight`, [rows, columns]];
      if (hasBias) yield [`${name(template)}.bias`, [rows]];
    }
  }
}

/** Template, rows, columns and whether there is a bias, of each matrix in a layer's feed-forward part. */
function ffnLinears(spec: ModelSpec, isMixture: boolean): [string, number, number, boolean][] {
  const { names, hidden, ffn, bias, moe } = spec;
  if (!isMixture || !moe || !names.moe) {
    return [
      [names.gate, ffn, hidden, bias.ffn],
      [names.up, ffn, hidden, bias.ffn],
      [names.down, hidden, ffn, bias.ffn],
    ];
  }
  const linears: [string, number, number, boolean][] = [[names.moe.router, moe.numExperts, hidden, false]];
  for (let e = 0; e < moe.numExperts; e++) {
    const name = (template: string) => template.replace('{e}', String(e));
    linears.push([name(names.moe.gate), moe.ffn, hidden, false], [name(names.moe.up), moe.ffn, hidden, false]);
    linears.push([name(names.moe.down), hidden, moe.ffn, false]);
  }
  const { shared } = names.moe;
  if (shared && moe.sharedFfn !== null) {
    linears.push([shared.router, 1, hidden, false], [shared.gate, moe.sharedFfn, hidden, false]);
    linears.push([shared.up, moe.sharedFfn, hidden, false], [shared.down, hidden, moe.sharedFfn, false]);
  }
  return linears;
}

/** Numbers around `mean`, at most `spread` away. Its length is no multiple of a row's, so that rows differ. */
function randomChunk(dtype: FloatDtype, mean: number, spread: number): Uint8Array {
  const count = CHUNK_BYTES / 4 - 37;
  let state = 1;
  const values = Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return mean + ((state / 2 ** 32) * 2 - 1) * spread;
  });
  if (dtype === 'F32') return new Uint8Array(values.buffer);
  if (dtype === 'F16') return new Uint8Array(Float16Array.from(values).buffer);
  const words = new Uint32Array(values.buffer);
  return new Uint8Array(Uint16Array.from(words, (word) => word >>> 16).buffer);
}
