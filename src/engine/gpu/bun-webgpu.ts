/**
 * The `bun-webgpu` binding (Dawn through bun:ffi): cheapest encoding, and a wait that blocks instead of polling.
 *
 * Owns its traps: an instance of our own so that TimedWaitAny is on, toggles by chained struct, the four limits that must be
 * passed as 0, and the release of passes and command buffers, which the package never does. Linux, macOS and Windows on x64, macOS on arm64.
 * Next: `binding.ts` for the contract.
 */
import { dlopen, FFIType, JSCallback, type Pointer, ptr } from 'bun:ffi';
import {
  dawnToggles,
  type FoundAdapter,
  type OpenedBinding,
  type OpenOptions,
  readAdapterInfo,
  readLimits,
  WANTED_FEATURES,
  wantedLimits,
} from './binding.ts';
import { NO_PARAMS } from './dispatch-list.ts';
import { keepingMemory, keepMemoryOfCalls } from './kept-memory.ts';
import type { Kernel } from './kernel.ts';

/** Values of Dawn's C enums that the calls below use (Dawn of mid-2025, as bundled). */
const TOGGLES_STYPE = 0x0005000an;
const CALLBACK_WAIT_ANY_ONLY = 1n;
const MAP_MODE_READ = 1n;
const WAIT_SUCCESS = 1;
const WAIT_TIMED_OUT = 2;
const MAP_SUCCESS = 1;

/** Limits that this Dawn reports as 0 and then refuses to be asked for anything else. */
const ZERO_LIMITS = {
  maxStorageBuffersInFragmentStage: 0,
  maxStorageBuffersInVertexStage: 0,
  maxStorageTexturesInFragmentStage: 0,
  maxStorageTexturesInVertexStage: 0,
};

const SYMBOLS = {
  wgpuCreateInstance: { args: [FFIType.ptr], returns: FFIType.ptr },
  wgpuInstanceWaitAny: { args: [FFIType.ptr, FFIType.u64, FFIType.ptr, FFIType.u64], returns: FFIType.u32 },
  zwgpuBufferMapAsync: {
    args: [FFIType.ptr, FFIType.u64, FFIType.u64, FFIType.u64, FFIType.ptr],
    returns: FFIType.u64,
  },
  wgpuBufferReadMappedRange: { args: [FFIType.ptr, FFIType.u64, FFIType.ptr, FFIType.u64], returns: FFIType.u32 },
  wgpuBufferUnmap: { args: [FFIType.ptr], returns: FFIType.void },
  wgpuAdapterRelease: { args: [FFIType.ptr], returns: FFIType.void },
  wgpuInstanceRelease: { args: [FFIType.ptr], returns: FFIType.void },
  wgpuComputePassEncoderRelease: { args: [FFIType.ptr], returns: FFIType.void },
  wgpuComputePassEncoderSetPipeline: { args: [FFIType.ptr, FFIType.ptr], returns: FFIType.void },
  wgpuComputePassEncoderSetBindGroup: {
    args: [FFIType.ptr, FFIType.u32, FFIType.ptr, FFIType.u64_fast, FFIType.ptr],
    returns: FFIType.void,
  },
  wgpuComputePassEncoderDispatchWorkgroups: {
    args: [FFIType.ptr, FFIType.u32, FFIType.u32, FFIType.u32],
    returns: FFIType.void,
  },
} as const;

/** What the package's objects carry beyond the WebGPU API. */
interface Native {
  readonly ptr: Pointer;
}
interface NativeGpu {
  readonly lib: unknown;
  readonly _ticker: { processEvents(): void };
  requestAdapter(options: object): Promise<GPUAdapter | null>;
}

function pointerOf(object: unknown): Pointer {
  return (object as Native).ptr;
}

/** Native memory that must outlive the calls that point into it. */
const kept: unknown[] = [];

function chainedToggles(enable: readonly string[], disable: readonly string[]): Pointer {
  const list = (names: readonly string[]) => {
    const pointers = new BigUint64Array(Math.max(1, names.length));
    names.forEach((name, i) => {
      const text = Buffer.from(`${name}\0`);
      kept.push(text);
      pointers[i] = BigInt(ptr(text));
    });
    kept.push(pointers);
    return BigInt(ptr(pointers));
  };
  const chained = new BigUint64Array([
    0n,
    TOGGLES_STYPE,
    BigInt(enable.length),
    list(enable),
    BigInt(disable.length),
    list(disable),
  ]);
  kept.push(chained);
  return ptr(chained);
}

/** Finds the default high-performance adapter. Throws: Error when there is none or the platform has no build. */
export async function findBunWebgpu(options: OpenOptions): Promise<FoundAdapter> {
  const native = await loadLibrary();
  const instanceDescriptor = new BigUint64Array([0n, 0n, 1n, 64n]);
  kept.push(instanceDescriptor);
  const instance = native.wgpuCreateInstance(ptr(instanceDescriptor)) as Pointer | null;
  if (!instance) throw new Error('Dawn could not create an instance');
  const shared = navigator.gpu as unknown as NativeGpu;
  const Gpu = shared.constructor as new (instance: Pointer, lib: unknown) => NativeGpu;
  const gpu = new Gpu(instance, shared.lib);
  kept.push(gpu);
  const nextInChain = chainedToggles(['allow_unsafe_apis', 'use_vulkan_memory_model'], []);
  const adapter = await keepingMemory(() => gpu.requestAdapter({ powerPreference: 'high-performance', nextInChain }));
  if (!adapter) throw new Error('no WebGPU adapter: no Vulkan, Metal or D3D12 driver was found');
  // Of subgroup matrices this Dawn has another syntax, for which no kernel is written: they count as missing.
  const offer = { adapterInfo: readAdapterInfo(adapter), features: adapter.features };
  return {
    offer,
    open: () => openDevice(native, { instance, gpu, adapter }, options),
    drop() {
      native.wgpuAdapterRelease((adapter as unknown as { adapterPtr: Pointer }).adapterPtr);
      native.wgpuInstanceRelease(instance);
    },
  };
}

type Library = Awaited<ReturnType<typeof loadLibrary>>;

async function loadLibrary() {
  const { setupGlobals } = await import('bun-webgpu');
  await setupGlobals();
  const platformPackage = `bun-webgpu-${process.platform}-${process.arch}`;
  const library: unknown = ((await import(platformPackage)) as { default: unknown }).default;
  return dlopen(String(library), SYMBOLS).symbols;
}

async function openDevice(
  native: Library,
  { instance, gpu, adapter }: { instance: Pointer; gpu: NativeGpu; adapter: GPUAdapter },
  options: OpenOptions,
): Promise<OpenedBinding> {
  const toggles = dawnToggles(options);
  const adapterInfo = readAdapterInfo(adapter);
  const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
  const descriptor = {
    requiredFeatures,
    requiredLimits: { ...wantedLimits(adapter), ...ZERO_LIMITS },
    nextInChain: chainedToggles(toggles.enable, toggles.disable),
  };
  const device = await keepingMemory(() => adapter.requestDevice(descriptor as GPUDeviceDescriptor));

  keepMemoryOfCalls(device);

  let mapStatus = 0;
  const mapped = new JSCallback(
    (status: number) => {
      mapStatus = status;
    },
    { args: [FFIType.u32, FFIType.ptr, FFIType.u64, FFIType.ptr, FFIType.ptr], returns: FFIType.void },
  );
  const callbackInfo = new BigUint64Array([0n, CALLBACK_WAIT_ANY_ONLY, BigInt(Number(mapped.ptr)), 0n, 0n]);
  const future = new BigUint64Array(2);

  return {
    name: 'bun-webgpu',
    device,
    adapterInfo,
    features: new Set(requiredFeatures),
    limits: readLimits(device),
    onUncapturedError(listener) {
      device.onuncapturederror = (event) => listener(event.error.message);
    },
    // The package's own wrappers check and convert each argument, at more than the price of the call itself.
    encode(passEncoder, { list, from, to }) {
      const pass = pointerOf(passEncoder);
      const { kernels, groups, offsets, grids } = list;
      const firstOffset = ptr(offsets);
      let last: Kernel | null = null;
      for (let i = from; i < to; i++) {
        const kernel = kernels[i] as Kernel;
        if (kernel !== last) native.wgpuComputePassEncoderSetPipeline(pass, pointerOf(kernel.pipeline));
        last = kernel;
        const hasParams = offsets[i] !== NO_PARAMS;
        const offset = hasParams ? ((firstOffset + 4 * i) as Pointer) : null;
        native.wgpuComputePassEncoderSetBindGroup(pass, 0, pointerOf(groups[i]), hasParams ? 1 : 0, offset);
        const [x, y, z] = [grids[3 * i], grids[3 * i + 1], grids[3 * i + 2]];
        native.wgpuComputePassEncoderDispatchWorkgroups(pass, x as number, y as number, z as number);
      }
    },
    submit(encoder, passes) {
      const commands = encoder.finish();
      device.queue.submit([commands]);
      (commands as unknown as { _destroy(): void })._destroy();
      for (const pass of passes) native.wgpuComputePassEncoderRelease(pointerOf(pass));
    },
    async readStaging(staging, into, timeoutMs) {
      const buffer = pointerOf(staging);
      const bytes = BigInt(Math.ceil(into.byteLength / 8) * 8);
      mapStatus = 0;
      future[0] = BigInt(native.zwgpuBufferMapAsync(buffer, MAP_MODE_READ, 0n, bytes, ptr(callbackInfo)));
      future[1] = 0n;
      const status = native.wgpuInstanceWaitAny(instance, 1n, ptr(future), BigInt(Math.round(timeoutMs * 1e6)));
      if (status === WAIT_TIMED_OUT) throw new Error(`the GPU did not finish within ${timeoutMs} ms`);
      if (status !== WAIT_SUCCESS || mapStatus !== MAP_SUCCESS) {
        throw new Error(`reading back failed (wait status ${status}, map status ${mapStatus})`);
      }
      native.wgpuBufferReadMappedRange(buffer, 0n, ptr(into), BigInt(into.byteLength));
      native.wgpuBufferUnmap(buffer);
    },
    // Device loss is delivered only while events are processed.
    processEvents: () => gpu._ticker.processEvents(),
    close() {
      device.destroy();
    },
  };
}
