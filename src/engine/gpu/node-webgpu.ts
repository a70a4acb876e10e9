/**
 * The npm `webgpu` binding (dawn.node, a newer Dawn): f16 on every vendor, linux-arm64, more storage buffers.
 *
 * Owns its one great trap: the object that `create()` returns is the Dawn instance, and everything under it dies when it is
 * garbage-collected; so it is kept here for as long as the process lives. Next: `binding.ts` for the contract.
 */
import {
  DAWN_FEATURES,
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
import type { Kernel } from './kernel.ts';
import { napping } from './napping.ts';

/** Instances, adapters and devices that must never be collected. */
const kept: unknown[] = [];

/** Finds the default high-performance adapter. Throws: Error when there is none. */
export async function findNodeWebgpu(options: OpenOptions): Promise<FoundAdapter> {
  const { create, globals } = await import('webgpu');
  // Its classes are needed by name (GPUBufferUsage and kin); what bun-webgpu may have installed is the same by value.
  for (const [name, value] of Object.entries(globals)) {
    if (!(name in globalThis)) Object.assign(globalThis, { [name]: value });
  }
  const toggles = dawnToggles(options);
  const enable = ['allow_unsafe_apis', 'use_vulkan_memory_model', 'vulkan_enable_f16_on_nvidia', ...toggles.enable];
  const gpu = create([
    `enable-dawn-features=${enable.join(',')}`,
    `disable-dawn-features=${toggles.disable.join(',')}`,
  ]) as GPU;
  kept.push(gpu);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('no WebGPU adapter: no Vulkan, Metal or D3D12 driver was found');
  kept.push(adapter);
  const offer = { adapterInfo: readAdapterInfo(adapter, dawnFeaturesOf(adapter)), features: adapter.features };
  // What is not taken stays in memory, 8 MB of it: letting it be collected is this package's great trap.
  return { offer, open: () => openDevice(adapter), drop() {} };
}

function dawnFeaturesOf(adapter: GPUAdapter): string[] {
  const offered: ReadonlySet<string> = adapter.features;
  return DAWN_FEATURES.filter((feature) => offered.has(feature));
}

async function openDevice(adapter: GPUAdapter): Promise<OpenedBinding> {
  const dawnFeatures = dawnFeaturesOf(adapter);
  const adapterInfo = readAdapterInfo(adapter, dawnFeatures);
  const standard = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
  // The type package knows no features beyond WebGPU's own.
  const requiredFeatures = [...standard, ...dawnFeatures] as GPUFeatureName[];
  const device = await adapter.requestDevice({ requiredFeatures, requiredLimits: wantedLimits(adapter) });
  kept.push(device);
  return {
    name: 'webgpu',
    device,
    adapterInfo,
    features: new Set<string>(requiredFeatures),
    limits: readLimits(device),
    onUncapturedError(listener) {
      device.onuncapturederror = (event) => listener(event.error.message);
    },
    encode(pass, { list, from, to }) {
      const { kernels, groups, offsets, grids } = list;
      let last: Kernel | null = null;
      for (let i = from; i < to; i++) {
        const kernel = kernels[i] as Kernel;
        if (kernel !== last) pass.setPipeline(kernel.pipeline);
        last = kernel;
        if (offsets[i] === NO_PARAMS) pass.setBindGroup(0, groups[i] as GPUBindGroup);
        else pass.setBindGroup(0, groups[i] as GPUBindGroup, offsets, i, 1);
        pass.dispatchWorkgroups(grids[3 * i] as number, grids[3 * i + 1], grids[3 * i + 2]);
      }
    },
    submit(encoder) {
      device.queue.submit([encoder.finish()]);
    },
    async readStaging(staging, into, timeoutMs) {
      const bytes = Math.ceil(into.byteLength / 8) * 8;
      await napping(staging.mapAsync(GPUMapMode.READ, 0, bytes), timeoutMs);
      into.set(new Uint8Array(staging.getMappedRange(0, bytes), 0, into.byteLength));
      staging.unmap();
    },
    processEvents() {},
    close() {
      device.destroy();
    },
  };
}
