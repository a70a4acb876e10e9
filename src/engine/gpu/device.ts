/**
 * The GPU as the engine sees it: buffers, compiled kernels, uploads, and one place where faults surface.
 *
 * Owns the opened binding and the ring of staging buffers. It knows no model and no op.
 * Next: `recorder.ts` (one step's commands), `kernel-cache.ts`, `binding.ts` (what differs between the two Dawns).
 */
import { EngineError } from '../types.ts';
import type { AdapterInfo, BindingName, DeviceLimits, MatrixConfig, OpenedBinding, OpenOptions } from './binding.ts';
import type { GpuBuffer } from './buffer.ts';
import type { Capability } from './capabilities.ts';
import { openAdapter } from './find-adapter.ts';
import type { Kernel } from './kernel.ts';
import { KernelCache, type KernelSource } from './kernel-cache.ts';

/** WebGPU's usage flags, spelled out so that no global of a binding is needed. */
export const BufferUsage = {
  mapRead: 1,
  copySrc: 4,
  copyDst: 8,
  uniform: 64,
  storage: 128,
  queryResolve: 512,
} as const;

/** More un-awaited upload than this piles up staging memory in the driver. Units: bytes. */
const MAX_PENDING_UPLOAD_BYTES = 16 * 2 ** 20;
/** Kept for the next reads; steps in flight hold one each. */
const MAX_FREE_STAGING = 8;
/** Larger ones are not kept. Units: bytes. */
const MAX_KEPT_STAGING_BYTES = 2 ** 22;
/** A step that takes longer is a hang: drivers reset the GPU after seconds, software adapters need more. */
const READ_TIMEOUT_MS = 120_000;

let nextBufferId = 1;

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

/** An open device. Not safe for use from two steps at once. */
export class GpuDevice {
  private readonly kernels: KernelCache;
  /** Buffers to read through that no submit uses. */
  private readonly freeStaging: GpuBuffer[] = [];
  private readonly withheld = new Set<Capability>();
  private failure: EngineError | null = null;
  private pendingUploadBytes = 0;
  private closed = false;
  private fence: GpuBuffer | null = null;
  /** Time spent waiting for the GPU since the device was opened. */
  waitedMs = 0;

  private constructor(
    readonly opened: OpenedBinding,
    /** Why this binding drives the adapter, in words. */
    readonly bindingReason: string,
  ) {
    this.kernels = new KernelCache(opened.device);
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
    try {
      const { opened, reason } = await openAdapter(binding, options);
      return new GpuDevice(opened, reason);
    } catch (error) {
      throw new EngineError('load-failed', `no usable GPU (${error instanceof Error ? error.message : error})`);
    }
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
  /** Whether kernels may use f16 types: they are offered and not withheld. So are the next three. */
  get hasF16(): boolean {
    return this.opened.features.has('shader-f16') && !this.withheld.has('f16');
  }
  get hasSubgroups(): boolean {
    return this.opened.features.has('subgroups') && !this.withheld.has('subgroups');
  }
  /** Matrix shapes that kernels may use: those of the adapter, where everything that such a kernel needs is there. */
  get subgroupMatrixConfigs(): readonly MatrixConfig[] {
    const areUsable = this.hasF16 && this.hasSubgroups && !this.withheld.has('matrices');
    return areUsable ? this.adapter.subgroupMatrixConfigs : [];
  }
  /** Every adapter takes these instructions; a driver may get them wrong. */
  get hasDp4a(): boolean {
    return !this.withheld.has('dp4a');
  }
  get hasSubgroupSizeControl(): boolean {
    return this.adapter.hasSubgroupSizeControl;
  }
  get hasTimestamps(): boolean {
    return this.opened.features.has('timestamp-query');
  }
  /** Kernels made so far. */
  get compiled(): readonly Kernel[] {
    return this.kernels.all;
  }
  /** While true, steps are recorded for their kernels alone: nothing is encoded, submitted or waited for. */
  get isCollecting(): boolean {
    return this.kernels.isCollecting;
  }

  /** From now on counts as not offered. Kernels that exist already still use it. */
  withhold(capability: Capability): void {
    this.withheld.add(capability);
  }

  /** Gives the fault that the device reports while `run` goes on, or null; it does not count as a failure of the device. */
  async faultOf(run: () => Promise<void>): Promise<string | null> {
    const { device } = this.opened;
    const kinds = ['internal', 'out-of-memory', 'validation'] as const;
    for (const kind of kinds) device.pushErrorScope(kind);
    let fault: string | null = null;
    try {
      await run();
    } finally {
      for (const _ of kinds) {
        const error = await this.poppedScope();
        fault ??= error;
      }
    }
    return fault;
  }

  private async poppedScope(): Promise<string | null> {
    try {
      return (await this.opened.device.popErrorScope())?.message ?? null;
    } catch {
      // A device that is lost has its own way to say so.
      return null;
    }
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
    await this.reports();
    throw new EngineError('gpu-error', error instanceof Error ? error.message : String(error));
  }

  /** Lets callbacks that are due come in. Throws: the fault that one of them told. */
  private async reports(): Promise<void> {
    this.opened.processEvents();
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.throwIfFailed();
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

  /** A variant of a shader, compiled unless it was before. A fault in the shader surfaces through {@link throwIfFailed}. */
  kernel(source: KernelSource): Kernel {
    return this.kernels.find(source);
  }

  /** Runs `record`, whose steps cost nothing and read back ones: the kernels that they ask for are made, but not compiled. */
  async collectKernels(record: () => Promise<void>): Promise<void> {
    this.kernels.isCollecting = true;
    try {
      await record();
    } finally {
      this.kernels.isCollecting = false;
    }
  }

  /** Compiles in the background what was collected. Throws: KernelFault naming the kernel that does not compile. */
  async compileCollected(onCompiled: (numReady: number, numAll: number) => void): Promise<void> {
    await this.kernels.compileAll(onCompiled);
    await this.reports();
  }

  /** Destroys the device. Everything made from it is invalid afterwards. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.opened.close();
  }
}
