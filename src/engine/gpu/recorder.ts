/**
 * Records one step: all dispatches in one compute pass, all parameters and arrays in one upload.
 *
 * Owns the step's arena: a single buffer, bound as `step` for arrays and, by dynamic offset, as the uniform `params` of
 * every dispatch. Nothing is allocated on the GPU in a step. Knows no op. Next: `ops/*.ts` call `dispatch`.
 */
import type { GpuBuffer } from './buffer.ts';
import { BufferUsage, type GpuDevice, type PendingRead } from './device.ts';
import type { Kernel } from './kernel.ts';

/** Room for parameters besides the arrays. Units: bytes. */
const PARAMS_BYTES = 512 * 1024;

/** Records and submits steps on one device. */
export class Recorder {
  /** Bind this as `step` to read the arrays added by {@link words}. */
  readonly arena: GpuBuffer;
  private readonly bytes: Uint8Array;
  private readonly asWords: Uint32Array;
  private readonly asFloats: Float32Array;
  private readonly paramAlignment: number;
  private readonly dynamicOffset = new Uint32Array(1);
  private used = 0;
  /** Bytes of the arena that are on the GPU already. */
  private uploaded = 0;
  private encoder: GPUCommandEncoder | null = null;
  private pass: GPUComputePassEncoder | null = null;
  private readonly passes: GPUComputePassEncoder[] = [];
  private currentPipeline: Kernel | null = null;
  /** Dispatches in the step so far. */
  numDispatches = 0;
  /** The first so many dispatches of a step are submitted at once, so that an idle GPU starts while the rest is recorded. 0 = all together. */
  numEarlyDispatches = 0;

  /** `arrayBytes`: the most that the arrays of one step can take. */
  constructor(
    readonly device: GpuDevice,
    arrayBytes: number,
  ) {
    const capacity = Math.ceil(arrayBytes / 256) * 256 + PARAMS_BYTES;
    this.arena = device.createBuffer('step arena', capacity, BufferUsage.uniform);
    this.bytes = new Uint8Array(this.arena.bytes);
    this.asWords = new Uint32Array(this.bytes.buffer);
    this.asFloats = new Float32Array(this.bytes.buffer);
    this.paramAlignment = Math.max(16, device.limits.minUniformBufferOffsetAlignment);
  }

  /** Copies an array into the step. Returns its offset in the arena. Units: 4-byte words. */
  words(source: Uint32Array | Int32Array | Float32Array, count: number = source.length): number {
    const at = this.reserve(count * 4, 4);
    const words = new Uint32Array(source.buffer, source.byteOffset, count);
    this.asWords.set(words, at / 4);
    return at / 4;
  }

  private reserve(bytes: number, alignment: number): number {
    const at = Math.ceil(this.used / alignment) * alignment;
    if (at + bytes > this.bytes.byteLength) {
      this.reset();
      throw new Error(`the step needs more than ${this.bytes.byteLength} bytes of parameters and arrays`);
    }
    this.used = at + bytes;
    return at;
  }

  /** Adds a dispatch. Grid in workgroups; a zero dimension is skipped. */
  dispatch(
    kernel: Kernel,
    buffers: Readonly<Record<string, GpuBuffer>>,
    params: Readonly<Record<string, number>> | null,
    x: number,
    y = 1,
    z = 1,
  ): void {
    if (x === 0 || y === 0 || z === 0) return;
    const pass = this.openPass();
    const group = kernel.bindGroup(buffers, this.arena);
    if (kernel !== this.currentPipeline) {
      pass.setPipeline(kernel.pipeline);
      this.currentPipeline = kernel;
    }
    if (kernel.params) {
      const { layout } = kernel.params;
      const at = this.reserve(layout.bytes, this.paramAlignment);
      layout.write(this.asWords, this.asFloats, at / 4, params ?? {});
      this.dynamicOffset[0] = at;
      pass.setBindGroup(0, group, this.dynamicOffset, 0, 1);
    } else {
      pass.setBindGroup(0, group);
    }
    pass.dispatchWorkgroups(x, y, z);
    if (++this.numDispatches === this.numEarlyDispatches) this.flush();
  }

  /**
   * Submits what is recorded so far and goes on with the same step: its arrays stay valid.
   * Drivers reset a GPU whose single submit runs for seconds, so that long steps are cut.
   */
  flush(): void {
    const encoder = this.finishPass();
    if (!encoder) return;
    this.device.opened.submit(encoder, this.passes);
    this.uploaded = this.used = Math.ceil(this.used / 4) * 4;
    this.pass = null;
    this.encoder = null;
    this.passes.length = 0;
    this.currentPipeline = null;
  }

  /** Submits without waiting. */
  submit(): void {
    const encoder = this.finishPass();
    if (encoder) this.device.opened.submit(encoder, this.passes);
    this.reset();
  }

  /** Submits and waits for the first `bytes` of `source`. Throws: EngineError when the device failed. */
  submitAndRead(source: GpuBuffer, bytes: number): Promise<Uint8Array> {
    return this.submitForRead(source, bytes).read();
  }

  /** Submits; the first `bytes` of `source`, as this step leaves them, can be waited for later. */
  submitForRead(source: GpuBuffer, bytes: number): PendingRead {
    const encoder = this.finishPass() ?? this.device.opened.device.createCommandEncoder({ label: 'step' });
    const pending = this.device.submitForRead(encoder, this.passes, source, 0, bytes);
    this.reset();
    return pending;
  }

  /** Drops what was recorded, after a fault while recording. */
  reset(): void {
    this.pass = null;
    this.encoder = null;
    this.passes.length = 0;
    this.currentPipeline = null;
    this.used = 0;
    this.uploaded = 0;
    this.numDispatches = 0;
  }

  private openPass(): GPUComputePassEncoder {
    if (this.pass) return this.pass;
    this.encoder = this.device.opened.device.createCommandEncoder({ label: 'step' });
    this.pass = this.encoder.beginComputePass({ label: 'step' });
    this.passes.push(this.pass);
    return this.pass;
  }

  private finishPass(): GPUCommandEncoder | null {
    const end = Math.ceil(this.used / 4) * 4;
    if (end > this.uploaded) this.device.write(this.arena, this.uploaded, this.bytes.subarray(this.uploaded, end));
    this.pass?.end();
    return this.encoder;
  }
}
