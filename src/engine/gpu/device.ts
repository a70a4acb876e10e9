/**
 * The GPU as the engine sees it: buffers, compiled kernels, uploads, and one place where faults surface.
 *
 * Owns the opened binding, the kernel cache and the ring of staging buffers. It knows no model and no op.
 * Next: `recorder.ts` (one step's commands), `kernel.ts`, `binding.ts` (what differs between the two Dawns).
 */
import { EngineError } from '../types.ts';
import type { AdapterInfo, BindingName, DeviceLimits, OpenedBinding, OpenOptions } from './binding.ts';
import type { GpuBuffer } from './buffer.ts';
import { Kernel, parseBindings } from './kernel.ts';
import type { StructLayout } from './layout.ts';
import { type ParamValue, preprocess } from './preprocess.ts';

/** WebGPU's usage flags, spelled out so that no global of a binding is needed. */
export const BufferUsage = { mapRead: 1, copySrc: 4, copyDst: 8, uniform: 64, storage: 128 } as const;

/** More un-awaited upload than this piles up staging memory in the driver. Units: bytes. */
const MAX_PENDING_UPLOAD_BYTES = 16 * 2 ** 20;
/** Kept for the next reads; steps in flight hold one each. */
const MAX_FREE_STAGING = 8;
/** Larger ones are not kept. Units: bytes. */
const MAX_KEPT_STAGING_BYTES = 2 ** 22;
/** A step that takes longer is a hang: drivers reset the GPU after seconds, software adapters need more. */
const READ_TIMEOUT_MS = 120_000;

let nextBufferId = 1;

/** Kernels by entry and then by each parameter's value. */
type KernelTree = Map<ParamValue | string | symbol, KernelTree | Kernel>;
const LEAF = Symbol('kernel');

function branchOf(tree: KernelTree, value: ParamValue | string): KernelTree {
  const known = tree.get(value);
  if (known) return known as KernelTree;
  const made: KernelTree = new Map();
  tree.set(value, made);
  return made;
}

/** Part of a buffer. Units: bytes. Limits: multiples of 4. */
export interface CopyRange {
  readonly buffer: GpuBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** A range of a buffer as it is after a submit. */
export interface PendingRead {
  /** Waits for it, once. Several are waited for in the order of their submits. Throws: EngineError when the device failed. */
  read(): Promise<Uint8Array>;
}

/** What a kernel is compiled from. */
export interface KernelSource {
  /** File name in `sources`; also the first part of the label. */
  readonly entry: string;
  readonly sources: Readonly<Record<string, string>>;
  readonly params: Readonly<Record<string, ParamValue>>;
  /** Layout of the uniform `params`, if the shader has one. */
  readonly layout: StructLayout | null;
}

/** An open device. Not safe for use from two steps at once. */
export class GpuDevice {
  private readonly kernels: Kernel[] = [];
  private readonly kernelTree: KernelTree = new Map();
  /** Buffers to read through that no submit uses. */
  private readonly freeStaging: GpuBuffer[] = [];
  private failure: EngineError | null = null;
  private pendingUploadBytes = 0;
  private closed = false;
  private fence: GpuBuffer | null = null;
  /** Time spent waiting for the GPU since the device was opened. */
  waitedMs = 0;

  private constructor(readonly opened: OpenedBinding) {
    opened.onUncapturedError((message) => {
      this.failure ??= new EngineError('gpu-error', message);
    });
    void opened.device.lost.then((info) => {
      if (info.reason !== 'destroyed' || !this.closed) {
        this.failure = new EngineError('device-lost', `the GPU device was lost: ${info.message || info.reason}`);
      }
    });
  }

  /** Opens the adapter through the wanted binding. Throws: EngineError('load-failed') when none is usable. */
  static async open(binding: BindingName | 'auto', options: OpenOptions): Promise<GpuDevice> {
    const faults: string[] = [];
    for (const name of binding === 'auto' ? bindingOrder() : [binding]) {
      try {
        return new GpuDevice(await openBinding(name, options));
      } catch (error) {
        faults.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    throw new EngineError('load-failed', `no usable GPU (${faults.join('; ')})`);
  }

  get binding(): BindingName {
    return this.opened.name;
  }
  get adapter(): AdapterInfo {
    return this.opened.adapterInfo;
  }
  get limits(): DeviceLimits {
    return this.opened.limits;
  }
  get hasF16(): boolean {
    return this.opened.features.has('shader-f16');
  }
  get hasSubgroups(): boolean {
    return this.opened.features.has('subgroups');
  }
  /** Compiled kernels so far. */
  get compiled(): Iterable<Kernel> {
    return this.kernels;
  }

  /** Throws: the first fault that the device reported since it was opened. */
  throwIfFailed(): void {
    if (this.failure) throw this.failure;
  }

  /** Makes a zero-filled buffer. Units: bytes, rounded up to 16. */
  createBuffer(label: string, bytes: number, extraUsage = 0): GpuBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    if (size > this.limits.maxBufferSize) {
      throw new EngineError('load-failed', `${label}: ${size} bytes exceed the device's ${this.limits.maxBufferSize}`);
    }
    const usage = BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst | extraUsage;
    const raw = this.opened.device.createBuffer({ label, size, usage });
    return { id: nextBufferId++, label, bytes: size, raw };
  }

  /** Like {@link createBuffer}, but gives null when the device is out of memory. */
  async tryCreateBuffer(label: string, bytes: number): Promise<GpuBuffer | null> {
    if (bytes > this.limits.maxBufferSize) return null;
    const { device } = this.opened;
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    const buffer = this.createBuffer(label, bytes);
    const invalid = await device.popErrorScope();
    const exhausted = await device.popErrorScope();
    if (!invalid && !exhausted) return buffer;
    buffer.raw.destroy();
    return null;
  }

  destroyBuffer(buffer: GpuBuffer): void {
    buffer.raw.destroy();
  }

  /** Queues a write. Offset and length must be multiples of 4. */
  write(buffer: GpuBuffer, byteOffset: number, data: Uint8Array): void {
    this.opened.device.queue.writeBuffer(buffer.raw, byteOffset, data as Uint8Array<ArrayBuffer>, 0, data.byteLength);
    this.pendingUploadBytes += data.byteLength;
  }

  /** Waits once enough uploads are queued, so that the driver's staging memory stays bounded. */
  async settleUploads(): Promise<void> {
    if (this.pendingUploadBytes < MAX_PENDING_UPLOAD_BYTES) return;
    await this.flush();
  }

  /** Waits until everything queued so far is done. */
  async flush(): Promise<void> {
    this.pendingUploadBytes = 0;
    this.fence ??= this.createBuffer('fence', 16);
    await this.read(this.fence, 0, 16);
  }

  /** Reads part of a buffer back, in a submit of its own. For tests and loading; a step uses the recorder. */
  async read(buffer: GpuBuffer, byteOffset: number, bytes: number): Promise<Uint8Array> {
    const encoder = this.opened.device.createCommandEncoder({ label: 'read' });
    return this.submitAndRead(encoder, [], buffer, byteOffset, bytes);
  }

  /** Submits, then waits for a range of `source`. Throws: EngineError when the device failed. */
  submitAndRead(
    encoder: GPUCommandEncoder,
    passes: readonly GPUComputePassEncoder[],
    source: GpuBuffer,
    byteOffset: number,
    bytes: number,
  ): Promise<Uint8Array> {
    return this.submitForRead(encoder, passes, source, byteOffset, bytes).read();
  }

  /** Submits with a copy of a range of `source`, to be waited for later. A fault shows when it is. */
  submitForRead(
    encoder: GPUCommandEncoder,
    passes: readonly GPUComputePassEncoder[],
    source: GpuBuffer,
    byteOffset: number,
    bytes: number,
  ): PendingRead {
    const padded = Math.ceil(bytes / 8) * 8;
    try {
      const staging = this.takeStaging(padded);
      encoder.copyBufferToBuffer(source.raw, byteOffset, staging.raw, 0, Math.min(padded, source.bytes - byteOffset));
      this.opened.submit(encoder, passes);
      return { read: () => this.readStaging(staging, bytes) };
    } catch (error) {
      return { read: () => this.fail(error) };
    }
  }

  /** Submits copies of several ranges, to be waited for later as one. A fault shows when they are. */
  copyOut(ranges: readonly CopyRange[]): PendingRead {
    const total = ranges.reduce((sum, { bytes }) => sum + bytes, 0);
    try {
      const staging = this.takeStaging(Math.ceil(total / 8) * 8);
      const encoder = this.opened.device.createCommandEncoder({ label: 'copy out' });
      let at = 0;
      for (const { buffer, offset, bytes } of ranges) {
        encoder.copyBufferToBuffer(buffer.raw, offset, staging.raw, at, bytes);
        at += bytes;
      }
      this.opened.submit(encoder, []);
      return { read: () => this.readStaging(staging, total) };
    } catch (error) {
      return { read: () => this.fail(error) };
    }
  }

  private async readStaging(staging: GpuBuffer, bytes: number): Promise<Uint8Array> {
    const out = new Uint8Array(bytes);
    try {
      const startMs = performance.now();
      await this.opened.readStaging(staging.raw, out, READ_TIMEOUT_MS);
      this.waitedMs += performance.now() - startMs;
    } catch (error) {
      return this.fail(error);
    }
    const isKept = staging.bytes <= MAX_KEPT_STAGING_BYTES && this.freeStaging.length < MAX_FREE_STAGING;
    if (isKept) this.freeStaging.push(staging);
    else staging.raw.destroy();
    this.throwIfFailed();
    return out;
  }

  /** Throws: the reason of a failure, as well as it is known. */
  private async fail(error: unknown): Promise<never> {
    // A lost device is reported by a callback and a promise: let them say why before the plain failure is used.
    this.opened.processEvents();
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.throwIfFailed();
    throw new EngineError('gpu-error', error instanceof Error ? error.message : String(error));
  }

  private takeStaging(bytes: number): GpuBuffer {
    const index = this.freeStaging.findIndex((free) => free.bytes >= bytes);
    const [free] = index < 0 ? [] : this.freeStaging.splice(index, 1);
    if (free) return free;
    const size = Math.max(4096, 2 ** Math.ceil(Math.log2(bytes)));
    const usage = BufferUsage.mapRead | BufferUsage.copyDst;
    const raw = this.opened.device.createBuffer({ label: 'staging', size, usage });
    return { id: nextBufferId++, label: 'staging', bytes: size, raw };
  }

  /**
   * Compiles a variant, or returns it from the cache. A fault in the shader surfaces through {@link throwIfFailed}.
   * `DUMP_WGSL=<label prefix>` prints the expanded text.
   */
  kernel(source: KernelSource): Kernel {
    const { entry, params, layout } = source;
    // Asked for at every dispatch: a walk is cheaper than a key. An entry's parameters come in one order.
    let branch = branchOf(this.kernelTree, entry);
    for (const name in params) branch = branchOf(branch, params[name] as ParamValue);
    const cached = branch.get(LEAF) as Kernel | undefined;
    if (cached) return cached;
    const values = Object.entries(params).map(([name, value]) => `${name}=${value}`);
    const label = `${entry.replace('.wgsl', '')}(${values.join(' ')})`;
    const code = preprocess({ ...source, structs: layout ? { [layout.name]: layout.wgsl } : {} });
    const dump = process.env.DUMP_WGSL;
    if (dump && label.startsWith(dump)) console.error(`// ${label}\n${code}`);
    const bindings = parseBindings(code, label);
    const uniform = bindings.find((binding) => binding.type === 'uniform');
    if (Boolean(uniform) !== Boolean(layout))
      throw new Error(`${label}: the uniform and its layout must come together`);
    const { device } = this.opened;
    const bindGroupLayout = device.createBindGroupLayout({
      label,
      entries: bindings.map(({ index, type }) => ({
        binding: index,
        visibility: 4, // compute
        buffer:
          type === 'uniform'
            ? { type, hasDynamicOffset: true, minBindingSize: layout?.bytes ?? 0 }
            : { type, hasDynamicOffset: false, minBindingSize: 0 },
      })),
    });
    const pipeline = device.createComputePipeline({
      label,
      layout: device.createPipelineLayout({ label, bindGroupLayouts: [bindGroupLayout] }),
      compute: { module: device.createShaderModule({ label, code }), entryPoint: 'main' },
    });
    const storage = bindings.filter((binding) => binding.type !== 'uniform');
    const paramsBinding = uniform && layout ? { index: uniform.index, layout } : null;
    const kernel = new Kernel(label, code, pipeline, bindGroupLayout, storage, paramsBinding, device);
    this.kernels.push(kernel);
    branch.set(LEAF, kernel);
    return kernel;
  }

  /** Destroys the device. Everything made from it is invalid afterwards. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.opened.close();
  }
}

/** bun-webgpu encodes cheapest and waits without polling; the other is taken where it has no build or no adapter. */
function bindingOrder(): readonly BindingName[] {
  return ['bun-webgpu', 'webgpu'];
}

async function openBinding(name: BindingName, options: OpenOptions): Promise<OpenedBinding> {
  if (name === 'webgpu') return (await import('./node-webgpu.ts')).openNodeWebgpu(options);
  return (await import('./bun-webgpu.ts')).openBunWebgpu(options);
}
