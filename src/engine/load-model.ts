/**
 * From a checkpoint's folder to a model that can run: device, spec, weights, memory plan, cache, runner.
 *
 * Owns the order of loading and its progress; everything it makes hangs on one device and goes with it.
 * Next: `local-engine.ts` (adds the scheduler), `memory-plan.ts`, `weights/loader.ts`.
 */
import type { EngineConfig } from '../config/server-config.ts';
import { adapterName } from './gpu/binding.ts';
import { GpuDevice } from './gpu/device.ts';
import { adapterMemory } from './gpu/memory.ts';
import { halvedPlan, type MemoryPlan, planMemory } from './memory-plan.ts';
import { readSpec } from './models/registry.ts';
import type { ModelSpec } from './models/spec.ts';
import { loadModelWeights, type ModelWeights } from './models/weights.ts';
import { type CacheShape, type LayerCache, layerCacheBytes } from './ops/kv-cache.ts';
import { Runner } from './runner.ts';
import { prepareDevice } from './self-check/prepare-device.ts';
import { tuneModel } from './tune/tune-model.ts';
import { EngineError } from './types.ts';
import { type WantedFormat, WeightLoader } from './weights/loader.ts';
import { openSafetensors } from './weights/safetensors.ts';

const FORMAT_OF_DTYPE = { auto: null, float32: 'f32', float16: 'f16', bfloat16: 'bf16' } as const;
const DTYPE_OF_FORMAT = { f32: 'float32', f16: 'float16', bf16: 'bfloat16', int8: 'int8', int4: 'int4' } as const;

export interface LoadedModel {
  readonly device: GpuDevice;
  readonly spec: ModelSpec;
  readonly plan: MemoryPlan;
  readonly runner: Runner;
  readonly dtype: string;
  readonly weightBytes: number;
}

export interface LoadOptions {
  readonly onProgress: (text: string, fraction: number | null) => void;
  /** One sentence that a user should see. */
  readonly onNotice: (message: string) => void;
  /** Kernels for adapters that compute on the CPU; what the adapter is unless said. For tests. */
  readonly software?: boolean;
}

/** Loads a model onto the GPU. Throws: EngineError('load-failed') naming what is wrong. */
export async function loadModel(folder: string, config: EngineConfig, options: LoadOptions): Promise<LoadedModel> {
  const spec = await readSpec(folder);
  options.onProgress('opening the GPU', null);
  const device = await GpuDevice.open(config.gpuBinding, {
    robustness: config.gpuRobustness,
    profiling: config.tuningFolder !== null,
  });
  options.onNotice(`GPU: ${adapterName(device.adapter)} through ${device.binding}: ${device.bindingReason}`);
  try {
    const software = options.software ?? device.adapter.isSoftware;
    options.onProgress('checking the GPU', null);
    await prepareDevice(device, spec, config, software, options.onNotice);
    const { weights, weightBytes } = await loadWeights(
      folder,
      device,
      spec,
      config.quantization ?? FORMAT_OF_DTYPE[config.dtype],
      options,
    );
    device.throwIfFailed();
    // Before the cache takes the rest of the memory.
    const tuned = await tuneModel(device, weights, {
      folder: software ? null : config.tuningFolder,
      maxRows: config.maxNumSeqs,
      onProgress: (fraction) => options.onProgress('measuring kernels', fraction),
    });
    const format = weights.layers[0]?.qkv.format ?? weights.embedding.format;
    const memory = adapterMemory(device.adapter, config.gpuMemoryGib);
    const resolved = { ...config, kvCacheDtype: cacheDtype(config, format) };
    const planned = planMemory(spec, resolved, {
      bindingBytes: device.limits.maxStorageBufferBindingSize,
      totalBytes: memory.bytes,
      weightBytes,
      isSoftware: device.adapter.isSoftware,
    });
    const { plan, shape, caches } = await allocateCaches(device, spec, planned);
    for (const notice of plan.notices) options.onNotice(notice);
    const runner = new Runner({
      device,
      spec,
      weights,
      plan,
      shape,
      caches,
      software,
      tuned,
      dp4a: config.intActivations && device.hasDp4a,
    });
    return { device, spec, plan, runner, dtype: DTYPE_OF_FORMAT[format], weightBytes };
  } catch (error) {
    device.close();
    throw error;
  }
}

/** A cache as wide as the weights unless set: rounding keys below the weights' own precision gains nothing. */
function cacheDtype(config: EngineConfig, format: WantedFormat): EngineConfig['kvCacheDtype'] {
  if (config.kvCacheDtype !== 'auto') return config.kvCacheDtype;
  return format === 'f32' ? 'float32' : 'float16';
}

async function loadWeights(
  folder: string,
  device: GpuDevice,
  spec: ModelSpec,
  format: WantedFormat,
  options: LoadOptions,
): Promise<{ weights: ModelWeights; weightBytes: number }> {
  const files = await openSafetensors(folder);
  try {
    const totalBytes = files.names().reduce((sum, name) => sum + files.entry(name).byteLength, 0);
    const loader = new WeightLoader(device, files, format, (read) =>
      options.onProgress('loading weights', read / totalBytes),
    );
    const weights = await loadModelWeights(loader, spec);
    await device.flush();
    for (const [name, count] of loader.overflowed) {
      options.onNotice(`${name}: ${count} values exceed float16 and were clamped; DTYPE=bfloat16 keeps them`);
    }
    return { weights, weightBytes: loader.storedBytes };
  } finally {
    await files.close();
  }
}

async function allocateCaches(
  device: GpuDevice,
  spec: ModelSpec,
  planned: MemoryPlan,
): Promise<{ plan: MemoryPlan; shape: CacheShape; caches: LayerCache[] }> {
  for (let plan = planned; ; plan = halvedPlan(plan)) {
    const shape: CacheShape = {
      format: plan.kvFormat,
      kvHeads: spec.kvHeads,
      headDim: spec.headDim,
      blockSize: plan.blockSize,
      numBlocks: plan.numBlocks,
    };
    const caches = await tryAllocateCaches(device, spec, shape);
    if (caches) return { plan, shape, caches };
  }
}

async function tryAllocateCaches(device: GpuDevice, spec: ModelSpec, shape: CacheShape): Promise<LayerCache[] | null> {
  const caches: LayerCache[] = [];
  const made: LayerCache['k'][] = [];
  for (let i = 0; i < spec.layers.length; i++) {
    const k = await device.tryCreateBuffer(`k cache ${i}`, layerCacheBytes(shape));
    if (k) made.push(k);
    const v = k && (await device.tryCreateBuffer(`v cache ${i}`, layerCacheBytes(shape)));
    if (!k || !v) {
      for (const buffer of made) device.destroyBuffer(buffer);
      return null;
    }
    made.push(v);
    caches.push({ k, v });
  }
  return caches;
}

/** Throws: EngineError naming the adapter when it computes nonsense. */
export function assertFinite(values: ArrayLike<number>, device: GpuDevice): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      throw new EngineError('load-failed', `${device.adapter.description}: the first logits are not finite`);
    }
  }
}
