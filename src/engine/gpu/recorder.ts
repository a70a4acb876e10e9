/**
 * Records one step: all dispatches in one compute pass, all parameters and arrays in one upload.
 *
 * Owns the step's arena: a single buffer, bound as `step` for arrays and, by dynamic offset, as the uniform `params` of
 * every dispatch. Nothing is allocated on the GPU in a step. Dispatches are gathered in a list and encoded when they are submitted; a
 * stretch of them that is known already is played from a tape. Knows no op. Next: `ops/*.ts` call `dispatch`.
 */
import type { GpuBuffer } from './buffer.ts';
import { BufferUsage, type GpuDevice, type PendingRead } from './device.ts';
import { DispatchList, NO_PARAMS, type Stretch } from './dispatch-list.ts';
import type { Kernel } from './kernel.ts';

/** Room for parameters besides the arrays. Units: bytes. */
const PARAMS_BYTES = 512 * 1024;

/** Tapes kept: steps of the same shape come again and again, and shapes change with the number of sequences and their lengths. */
const MAX_TAPES = 64;
const NO_WORDS = new Uint32Array(0);

/** A stretch of a step that can be recorded again without those who recorded it. */
interface Tape {
  readonly list: DispatchList;
  /** Numbers of dispatches after which the step was submitted. */
  readonly cuts: number[];
  /** Parameters of all its dispatches, as they stand in the arena. */
  params: Uint32Array;
}

/** Records and submits steps on one device. */
export class Recorder {
  /** Bind this as `step` to read the arrays added by {@link words}. */
  readonly arena: GpuBuffer;
  private readonly bytes: Uint8Array;
  private readonly asWords: Uint32Array;
  private readonly asFloats: Float32Array;
  private readonly paramAlignment: number;
  private used = 0;
  /** Bytes of the arena that are on the GPU already. */
  private uploaded = 0;
  private encoder: GPUCommandEncoder | null = null;
  private pass: GPUComputePassEncoder | null = null;
  private readonly passes: GPUComputePassEncoder[] = [];
  /** What is to be encoded, in order: parts of `list` and of tapes. */
  private readonly stretches: Stretch[] = [];
  /** Dispatches that were recorded one by one. The first `listed` of them stand in `stretches`. */
  private readonly list = new DispatchList();
  private listed = 0;
  private readonly tapes = new Map<string, Tape>();
  private taping: Tape | null = null;
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
    // Arrays are new in every step: what holds one cannot be played again.
    this.taping = null;
    const at = this.reserve(count * 4, 4) / 4;
    this.asWords.set(new Uint32Array(source.buffer, source.byteOffset, count), at);
    return at;
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
    if (this.device.isCollecting) {
      this.numDispatches++;
      return;
    }
    const group = kernel.bindGroup(buffers, this.arena);
    let at = NO_PARAMS;
    if (kernel.params) {
      const { layout } = kernel.params;
      at = this.reserve(layout.bytes, this.paramAlignment);
      layout.write(this.asWords, this.asFloats, at / 4, params ?? {});
    }
    this.list.add(kernel, group, at, x, y, z);
    this.taping?.list.add(kernel, group, at, x, y, z);
    if (++this.numDispatches === this.numEarlyDispatches) this.submitPart();
  }

  /**
   * Records the same dispatches as `record`, which is called only where they are not known under this key.
   * Limits: the dispatches, their buffers and their parameters follow from the key, and from how much the step holds already. Where
   * `record` adds arrays nothing is kept.
   */
  replay(key: string, record: () => void): void {
    if (this.device.isCollecting) {
      record();
      return;
    }
    const first = Math.ceil(this.used / this.paramAlignment) * this.paramAlignment;
    const name = `${first} ${key}`;
    const known = this.tapes.get(name);
    if (known) {
      this.play(known, first);
      return;
    }
    const tape: Tape = { list: new DispatchList(), cuts: [], params: NO_WORDS };
    this.taping = tape;
    record();
    if (this.taping !== tape) return;
    this.taping = null;
    tape.params = this.asWords.slice(first / 4, Math.ceil(this.used / 4));
    for (const oldest of this.tapes.keys()) {
      if (this.tapes.size < MAX_TAPES) break;
      this.tapes.delete(oldest);
    }
    this.tapes.set(name, tape);
  }

  private play({ list, cuts, params }: Tape, first: number): void {
    this.reserve(first + params.byteLength - this.used, 1);
    this.asWords.set(params, first / 4);
    this.closeStretch();
    let from = 0;
    for (const cut of cuts) {
      this.add(list, from, cut);
      this.submitPart();
      from = cut;
    }
    this.add(list, from, list.length);
  }

  private add(list: DispatchList, from: number, to: number): void {
    const early = this.numEarlyDispatches - this.numDispatches;
    this.numDispatches += to - from;
    if (early > 0 && early <= to - from) {
      this.stretches.push({ list, from, to: from + early });
      this.submitPart();
      from += early;
    }
    if (from < to) this.stretches.push({ list, from, to });
  }

  /** Puts what `record` dispatches into a pass of its own, which writes the times of its begin and end. */
  inTimedPass(timestampWrites: GPUComputePassTimestampWrites, record: () => void): void {
    if (this.device.isCollecting) {
      record();
      return;
    }
    this.endPass();
    this.openPass(timestampWrites);
    record();
    this.endPass();
  }

  /** Records the copy of the first `count` times of a set into `target`. Units: nanoseconds, u64. */
  resolveTimes(times: GPUQuerySet, count: number, target: GPUBuffer): void {
    this.endPass();
    this.openEncoder().resolveQuerySet(times, 0, count, target, 0);
  }

  /**
   * Submits what is recorded so far and goes on with the same step: its arrays stay valid.
   * Drivers reset a GPU whose single submit runs for seconds, so that long steps are cut.
   */
  flush(): void {
    this.taping?.cuts.push(this.taping.list.length);
    this.submitPart();
  }

  private submitPart(): void {
    const encoder = this.finishPass();
    if (!encoder) return;
    this.device.opened.submit(encoder, this.passes);
    this.uploaded = this.used = Math.ceil(this.used / 4) * 4;
    this.encoder = null;
    this.passes.length = 0;
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
    if (this.device.isCollecting) {
      this.reset();
      // A token, a rank, a count: 1 is a fair value of each, where 0 is taken for a fault.
      const ones = new Uint8Array(new Uint32Array(Math.ceil(bytes / 4)).fill(1).buffer, 0, bytes);
      return { read: async () => ones };
    }
    const encoder = this.finishPass() ?? this.openEncoder();
    const pending = this.device.submitForRead(encoder, this.passes, source, 0, bytes);
    this.reset();
    return pending;
  }

  /** Drops what was recorded, after a fault while recording. */
  reset(): void {
    this.pass = null;
    this.encoder = null;
    this.passes.length = 0;
    this.clear();
    this.taping = null;
    this.used = 0;
    this.uploaded = 0;
    this.numDispatches = 0;
  }

  private clear(): void {
    this.list.clear();
    this.listed = 0;
    this.stretches.length = 0;
  }

  private openEncoder(): GPUCommandEncoder {
    this.encoder ??= this.device.opened.device.createCommandEncoder({ label: 'step' });
    return this.encoder;
  }

  private openPass(timestampWrites?: GPUComputePassTimestampWrites): GPUComputePassEncoder {
    if (this.pass) return this.pass;
    const descriptor = timestampWrites ? { label: 'timed', timestampWrites } : { label: 'step' };
    this.pass = this.openEncoder().beginComputePass(descriptor);
    this.passes.push(this.pass);
    return this.pass;
  }

  private endPass(): void {
    this.closeStretch();
    for (const stretch of this.stretches) this.device.opened.encode(this.openPass(), stretch);
    this.clear();
    this.pass?.end();
    this.pass = null;
  }

  private finishPass(): GPUCommandEncoder | null {
    if (this.device.isCollecting) return null;
    const end = Math.ceil(this.used / 4) * 4;
    if (end > this.uploaded) this.device.write(this.arena, this.uploaded, this.bytes.subarray(this.uploaded, end));
    this.endPass();
    return this.encoder;
  }

  private closeStretch(): void {
    const { list, listed } = this;
    if (list.length > listed) this.stretches.push({ list, from: listed, to: list.length });
    this.listed = list.length;
  }
}
