/**
 * Times the matrix-vector kernel with given sizes on the weights of a model.
 *
 * Owns the buffers around the weights and the comparison; what is timed goes through the op with what a step does along: norm, bias, residual.
 * It must not know what is worth trying, nor how much time there is. Next: `autotune.ts` (who asks), `../gpu/timing.ts` (the clock).
 */
import type { GpuDevice } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import { PassTimer } from '../gpu/timing.ts';
import { makeContext, type OpContext } from '../ops/context.ts';
import { type FoldedNorm, foldsNorm, recordGatedMatmul, recordMatmul } from '../ops/matmul.ts';
import { paddedColumns, type Tensor } from '../ops/tensor.ts';
import type { GemvSizes } from '../ops/tuned-plans.ts';
import type { TunableProduct, TunableShape } from './model-shapes.ts';

/** More than the caches of any adapter hold several times over. Units: bytes. */
const PASS_BYTES = 512 * 2 ** 20;
/** So many dispatches of one submit fit the recorder. */
const MAX_DISPATCHES = 1200;
/** The first round is for the driver; of the others the shortest time counts, which other work only lengthens. */
const ROUNDS = 4;
/** What is not clearly better than what it would replace may be noise. */
const MIN_GAIN = 0.03;
/** Sizes that are compiled and timed together: few, so that little is begun that there is no time for. */
const BATCH = 4;

/** What a search has come to. */
export interface Found {
  readonly sizes: GemvSizes;
  /** False where time ran out before all candidates were timed. */
  readonly isComplete: boolean;
}

/** Compares sizes. Close it when done. */
export class GemvBench {
  private readonly recorder: Recorder;
  private readonly context: OpContext;
  private readonly timer: PassTimer;
  private readonly x: Tensor;
  private readonly y: Tensor;
  private readonly norm: Tensor;

  constructor(
    private readonly device: GpuDevice,
    shapes: readonly TunableShape[],
    maxRows: number,
  ) {
    this.recorder = new Recorder(device, 256);
    this.context = makeContext(device, this.recorder, false);
    this.timer = new PassTimer(this.recorder);
    const widest = Math.max(...shapes.map(({ k }) => k));
    this.x = this.tensor('tuning x', maxRows, widest);
    this.norm = this.tensor('tuning norm', 1, widest);
    this.y = this.tensor('tuning y', maxRows, Math.max(...shapes.map(({ n }) => n)));
  }

  /**
   * The best of `from` and the candidates, a few at a time and always beside the best so far, so that a clock that drifts favours none.
   * The first few are always timed; after them nothing is begun once `isOver`. Throws: where a candidate does not compile.
   */
  async fastest(
    shape: TunableShape,
    rows: number,
    from: GemvSizes,
    candidates: readonly GemvSizes[],
    isOver: () => boolean,
  ): Promise<Found> {
    let sizes = from;
    for (let first = 0; first < candidates.length; first += BATCH) {
      if (first > 0 && isOver()) return { sizes, isComplete: false };
      sizes = await this.fastestOf(shape, rows, [sizes, ...candidates.slice(first, first + BATCH)]);
    }
    return { sizes, isComplete: true };
  }

  close(): void {
    this.timer.close();
    for (const { buffer } of [this.x, this.y, this.norm]) this.device.destroyBuffer(buffer);
    this.device.destroyBuffer(this.recorder.arena);
  }

  /** The first of the choices, unless another is clearly better. */
  private async fastestOf(
    shape: TunableShape,
    rows: number,
    choices: readonly [GemvSizes, ...GemvSizes[]],
  ): Promise<GemvSizes> {
    const products = this.sample(shape, choices.length);
    const records = choices.map((sizes) => {
      const context = { ...this.context, tuned: { lookup: () => sizes } };
      return () => {
        for (const product of products) this.record(context, shape, product, rows);
      };
    });
    await this.device.collectKernels(async () => {
      for (const record of records) record();
      this.recorder.reset();
    });
    await this.device.compileCollected(() => {});
    const shortest = choices.map(() => Number.POSITIVE_INFINITY);
    for (let round = 0; round < ROUNDS; round++) {
      const times = await this.timer.time(records);
      if (round > 0) for (const [i, time] of times.entries()) shortest[i] = Math.min(time, shortest[i] ?? time);
    }
    const [known = 0] = shortest;
    const least = Math.min(...shortest);
    return least < known * (1 - MIN_GAIN) ? (choices[shortest.indexOf(least)] ?? choices[0]) : choices[0];
  }

  /** As many products as are needed to read past the caches. */
  private sample({ bytes, products }: TunableShape, numChoices: number): readonly TunableProduct[] {
    const shards = products[0]?.weight.shards.length ?? 1;
    const most = Math.max(1, Math.floor(MAX_DISPATCHES / numChoices / shards));
    return products.slice(0, Math.min(most, Math.ceil(PASS_BYTES / bytes)));
  }

  private record(context: OpContext, { n, k }: TunableShape, product: TunableProduct, numRows: number): void {
    const { weight, second, bias, secondBias, hasNorm, accumulates } = product;
    const x = { ...this.x, columns: k, stride: paddedColumns(k) };
    const y = { ...this.y, columns: n, stride: paddedColumns(n) };
    const isFolded = hasNorm && foldsNorm(context, weight, numRows, second !== null);
    const norm: FoldedNorm | null = isFolded ? { weight: { buffer: this.norm.buffer, length: k }, eps: 1e-5 } : null;
    if (second === null) {
      recordMatmul(context, { x, norm, weight, bias, y, numRows, accumulate: accumulates });
    } else {
      const pair = { gate: weight, up: second, gateBias: bias, upBias: secondBias };
      recordGatedMatmul(context, { x, norm, ...pair, activation: 'silu', y, numRows });
    }
  }

  private tensor(label: string, rows: number, columns: number): Tensor {
    const stride = paddedColumns(columns);
    return { buffer: this.device.createBuffer(label, rows * stride * 4), rows, columns, stride };
  }
}
