/**
 * How long one call of a kernel takes: many calls in one submit, less an empty submit, several times over.
 *
 * Owns a recorder and the clock. Works on every adapter, since it needs no timestamps. Next: `kernels.ts`.
 */
import type { GpuBuffer } from '../../src/engine/gpu/buffer.ts';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { Recorder } from '../../src/engine/gpu/recorder.ts';
import { makeContext, type OpContext } from '../../src/engine/ops/context.ts';
import { median } from './table.ts';

/** Records call number i. */
export type Call = (i: number) => void;

const ARRAY_BYTES = 16 * 2 ** 20;
/** Parameters of so many dispatches fit one submit. */
const MAX_DISPATCHES = 1500;
/** A run should last this long, so that the empty submit hardly counts. */
const RUN_MS = 25;
const MIN_RUNS = 5;
const MAX_RUNS = 31;

export class GpuTimer {
  readonly context: OpContext;
  private readonly fence: GpuBuffer;
  private readonly recorder: Recorder;

  constructor(
    readonly device: GpuDevice,
    private readonly budgetMs: number,
  ) {
    this.recorder = new Recorder(device, ARRAY_BYTES);
    this.context = makeContext(device, this.recorder);
    this.fence = device.createBuffer('bench fence', 16);
  }

  /** Median time of one call. `prepare` is asked anew for every submit, because arrays belong to one. Units: milliseconds. */
  async time(prepare: () => Call): Promise<number> {
    return median(await this.times(prepare));
  }

  /** The shortest time of one call: for ceilings, which other work on the machine only lowers. Units: milliseconds. */
  async bestTime(prepare: () => Call): Promise<number> {
    return Math.min(...(await this.times(prepare)));
  }

  private async times(prepare: () => Call): Promise<number[]> {
    await this.run(prepare, 2); // compiles
    const perSubmit = this.dispatchesOf(prepare);
    const emptyMs = await this.emptyMs();
    const most = Math.max(1, Math.floor(MAX_DISPATCHES / perSubmit));
    let calls = 1;
    let lastMs = await this.run(prepare, calls);
    while (lastMs - emptyMs < RUN_MS && calls < most) {
      const perCall = Math.max((lastMs - emptyMs) / calls, RUN_MS / 4 / most);
      calls = Math.min(most, Math.max(calls * 2, Math.ceil(RUN_MS / perCall)));
      lastMs = await this.run(prepare, calls);
    }
    const runs = Math.min(MAX_RUNS, Math.max(MIN_RUNS, Math.floor(this.budgetMs / lastMs)));
    const times: number[] = [];
    for (let i = 0; i < runs; i++) {
      const ms = (await this.run(prepare, calls)) - (await this.run(prepare, 0));
      times.push(Math.max(0, ms) / calls);
    }
    return times;
  }

  private async emptyMs(): Promise<number> {
    const times: number[] = [];
    for (let i = 0; i < MIN_RUNS; i++) times.push(await this.run(() => () => {}, 0));
    return median(times);
  }

  private dispatchesOf(prepare: () => Call): number {
    prepare()(0);
    const { numDispatches } = this.recorder;
    this.recorder.reset();
    return Math.max(1, numDispatches);
  }

  private async run(prepare: () => Call, calls: number): Promise<number> {
    const call = prepare();
    const startMs = performance.now();
    for (let i = 0; i < calls; i++) call(i);
    await this.recorder.submitAndRead(this.fence, 16);
    return performance.now() - startMs;
  }
}
