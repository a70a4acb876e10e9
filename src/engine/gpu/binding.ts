/**
 * The one seam between the engine and a Dawn binding: what a binding must offer beyond the WebGPU API itself.
 *
 * Owns the interface; `bun-webgpu.ts` and `node-webgpu.ts` implement it and hold every trap of theirs.
 * Next: `find-adapter.ts` (which one is taken), `device.ts`, the only user.
 */

import type { Stretch } from './dispatch-list.ts';

export type BindingName = 'bun-webgpu' | 'webgpu';

/** How to open an adapter and device. */
export interface OpenOptions {
  /** Bounds checks and validation: on in tests, off in release. */
  readonly robustness: boolean;
  /** Exact timestamps instead of quantised ones: to measure kernels by. */
  readonly profiling: boolean;
}

/** What an adapter can do through one binding. */
export interface BindingOffer {
  readonly adapterInfo: AdapterInfo;
  /** Features of the adapter, by their WebGPU names. */
  readonly features: ReadonlySet<string>;
}

/** An adapter that a binding found and of which no device is made yet. Call one of the two, once. */
export interface FoundAdapter {
  readonly offer: BindingOffer;
  open(): Promise<OpenedBinding>;
  /** Lets go of it, because another one is taken. */
  drop(): void;
}

/** An opened device with the calls that differ between bindings. Everything it holds stays referenced until `close`. */
export interface OpenedBinding {
  readonly name: BindingName;
  readonly device: GPUDevice;
  readonly adapterInfo: AdapterInfo;
  readonly features: ReadonlySet<string>;
  readonly limits: DeviceLimits;
  /** Calls back on errors that no scope caught. */
  onUncapturedError(listener: (message: string) => void): void;
  /** Encodes the dispatches of a stretch, in the cheapest way that the binding has. */
  encode(pass: GPUComputePassEncoder, stretch: Stretch): void;
  /** Submits, then frees what the binding would leak. */
  submit(encoder: GPUCommandEncoder, passes: readonly GPUComputePassEncoder[]): void;
  /**
   * Waits until the GPU has filled `staging` and copies its first `into.byteLength` bytes out.
   * Throws: Error when the map fails or the wait exceeds `timeoutMs`.
   */
  readStaging(staging: GPUBuffer, into: Uint8Array, timeoutMs: number): Promise<void>;
  /** Delivers callbacks that are due, where the binding does not do so by itself. */
  processEvents(): void;
  close(): void;
}

export interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isSoftware: boolean;
  /** 0 when unknown. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** Matrix shapes that subgroups multiply (tensor cores); empty where the device was opened without them. */
  readonly subgroupMatrixConfigs: readonly MatrixConfig[];
  /** Whether a shader may fix its subgroup size. */
  readonly hasSubgroupSizeControl: boolean;
}

/** One shape of subgroup matrices: [M, K] times [K, N], with WGSL's names of the operands' and the sum's types. */
export interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/**
 * The shape with f16 operands and f32 sums that does most work at once; null when there is none.
 * f16 sums overflow on real models, so that they are never taken.
 */
export function chooseMatrixConfig(configs: readonly MatrixConfig[]): MatrixConfig | null {
  const size = ({ M, N, K }: MatrixConfig) => M * N * K;
  return configs
    .filter((config) => config.componentType === 'f16' && config.resultComponentType === 'f32')
    .reduce<MatrixConfig | null>((best, config) => (best && size(best) >= size(config) ? best : config), null);
}

/** Limits that the engine plans with. Units: bytes where named so, counts otherwise. */
export interface DeviceLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly minUniformBufferOffsetAlignment: number;
  readonly minStorageBufferOffsetAlignment: number;
}

/** Limits worth more than the defaults, asked for as far as the adapter has them. */
const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** Features that kernels have variants for, by their WebGPU names. */
export const WANTED_FEATURES = ['shader-f16', 'subgroups', 'timestamp-query'] as const;

/** What Dawn offers besides WebGPU; only a binding that spells these names as its Dawn does may ask for them. */
export const DAWN_FEATURES = ['chromium-experimental-subgroup-matrix', 'subgroup-size-control'] as const;

/** NVIDIA's arrayLength() is 0 for bindings of 2 GiB and more, so nothing that large is bound. */
const MAX_SAFE_BINDING_BYTES = 2 ** 31 - 4;

/** Picks the limits to request. Zero values mean that the binding does not report the limit. */
export function wantedLimits(adapter: GPUAdapter): Record<string, number> {
  const wanted: Record<string, number> = {};
  for (const name of WANTED_LIMITS) {
    const value = adapter.limits[name];
    if (typeof value === 'number' && value > 0) wanted[name] = value;
  }
  return wanted;
}

/** Reads the device's limits once. */
export function readLimits(device: GPUDevice): DeviceLimits {
  const limits = device.limits;
  return {
    maxBufferSize: limits.maxBufferSize,
    maxStorageBufferBindingSize: Math.min(limits.maxStorageBufferBindingSize, MAX_SAFE_BINDING_BYTES),
    maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    minUniformBufferOffsetAlignment: limits.minUniformBufferOffsetAlignment,
    minStorageBufferOffsetAlignment: limits.minStorageBufferOffsetAlignment,
  };
}

/**
 * Reads the adapter's description; `dawnFeatures` are those of {@link DAWN_FEATURES} that the device is opened with.
 * Throws: Error for Dawn's null backend, whose results are zeros.
 */
export function readAdapterInfo(adapter: GPUAdapter, dawnFeatures: readonly string[] = []): AdapterInfo {
  // Both bindings carry the subgroup sizes; the type package knows them as optional.
  const info = adapter.info;
  const text = `${info.device} ${info.description} ${info.architecture}`;
  if (/null[- ]?backend/i.test(text) || (info.vendor === '' && /\bnull\b/i.test(text))) {
    throw new Error(
      'Dawn offers only its null backend, which computes nothing: no usable Vulkan, Metal or D3D12 driver was found',
    );
  }
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    isSoftware: /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(text),
    subgroupMinSize: info.subgroupMinSize ?? 0,
    subgroupMaxSize: info.subgroupMaxSize ?? 0,
    subgroupMatrixConfigs: dawnFeatures.includes('chromium-experimental-subgroup-matrix') ? matrixConfigs(info) : [],
    hasSubgroupSizeControl: dawnFeatures.includes('subgroup-size-control'),
  };
}

/** The adapter as a user knows it: the card and, in words, its driver. */
export function adapterName({ device, description }: AdapterInfo): string {
  const card = device.replace(/-+$/, '');
  return [card, description].filter((text) => text !== '').join(', ');
}

/** Copied, because the binding's objects read native memory. */
function matrixConfigs(info: GPUAdapterInfo): MatrixConfig[] {
  const { subgroupMatrixConfigs } = info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> };
  return [...(subgroupMatrixConfigs ?? [])].map(({ componentType, resultComponentType, M, N, K }) => ({
    componentType,
    resultComponentType,
    M,
    N,
    K,
  }));
}

/** Dawn toggles for a purpose. Source: Dawn's Toggles.cpp; names are the same in both bindings. */
export function dawnToggles(options: OpenOptions): { enable: string[]; disable: string[] } {
  const enable: string[] = [];
  const disable: string[] = [];
  if (!options.robustness) {
    enable.push(
      'skip_validation',
      'disable_robustness',
      'disable_workgroup_init',
      'disable_polyfills_on_integer_div_and_mod',
    );
  }
  if (options.profiling) disable.push('timestamp_quantization');
  return { enable, disable };
}
