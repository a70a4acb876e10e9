/**
 * How long dispatches take on the GPU: by its own clock where the adapter has timestamps, else by ours around a submit.
 *
 * Owns the query set and its buffer. It knows no kernel: what is timed is a function that records. Drivers are known to give
 * times of 0 or an end before the begin; then our clock serves. Next: `recorder.ts`; `../tune/autotune.ts` (who compares kernels by it).
 */
import type { GpuBuffer } from './buffer.ts';
import { BufferUsage } from './device.ts';
import type { Recorder } from './recorder.ts';

/** What is timed in one submit at most. */
const MAX_PASSES = 32;
const BYTES_PER_TIME = 8;
const EMPTY_SUBMITS = 3;

/** Times dispatches that are recorded into one recorder, which must be empty. Close it when done. */
export class PassTimer {
  private readonly times: GPUQuerySet | null;
  private readonly resolved: GpuBuffer;

  constructor(private readonly recorder: Recorder) {
    const { device } = recorder;
    const count = 2 * MAX_PASSES;
    this.times = device.hasTimestamps ? device.opened.device.createQuerySet({ type: 'timestamp', count }) : null;
    this.resolved = device.createBuffer('times', count * BYTES_PER_TIME, BufferUsage.queryResolve);
  }

  /** How long each of `records` takes, once. Units: milliseconds. Limits: what they record together fits one step. */
  async time(records: readonly (() => void)[]): Promise<number[]> {
    const times: number[] = [];
    for (let first = 0; first < records.length; first += MAX_PASSES) {
      const some = records.slice(first, first + MAX_PASSES);
      const measured = this.times && (await this.byTimestamps(this.times, some));
      times.push(...(measured ?? (await this.byClock(some))));
    }
    return times;
  }

  close(): void {
    this.times?.destroy();
    this.recorder.device.destroyBuffer(this.resolved);
  }

  /** Null when the adapter's clock cannot be right. */
  private async byTimestamps(querySet: GPUQuerySet, records: readonly (() => void)[]): Promise<number[] | null> {
    const { recorder, resolved } = this;
    for (const [i, record] of records.entries()) {
      const writes = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
      recorder.inTimedPass(writes, record);
    }
    const count = 2 * records.length;
    recorder.resolveTimes(querySet, count, resolved.raw);
    const bytes = await recorder.submitAndRead(resolved, count * BYTES_PER_TIME);
    const stamps = new BigUint64Array(bytes.buffer, bytes.byteOffset, count);
    const times = records.map((_, i) => Number((stamps[2 * i + 1] ?? 0n) - (stamps[2 * i] ?? 0n)) / 1e6);
    return times.every((time) => time > 0) ? times : null;
  }

  private async byClock(records: readonly (() => void)[]): Promise<number[]> {
    const empty: number[] = [];
    for (let i = 0; i < EMPTY_SUBMITS; i++) empty.push(await this.clocked(() => {}));
    const emptyMs = Math.min(...empty);
    const times: number[] = [];
    for (const record of records) times.push(Math.max(0, (await this.clocked(record)) - emptyMs));
    return times;
  }

  private async clocked(record: () => void): Promise<number> {
    const startMs = performance.now();
    record();
    await this.recorder.submitAndRead(this.resolved, BYTES_PER_TIME);
    return performance.now() - startMs;
  }
}
