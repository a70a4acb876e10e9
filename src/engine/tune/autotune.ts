/**
 * Picks the sizes of the matrix-vector kernel by timing them on the model's own weights, once per adapter.
 *
 * Owns the order of measuring, its budget and the choice; what is measured goes through the op, as in a step. What one start has no
 * time for, the next one measures. Never used on software adapters: there another kernel runs, and its plan is fixed.
 * Next: `candidates.ts` (what is tried), `tuning-file.ts` (what is kept), `../gpu/timing.ts` (the clock).
 */
import type { GpuDevice } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import { PassTimer } from '../gpu/timing.ts';
import { makeContext, type OpContext } from '../ops/context.ts';
import { recordGatedMatmul, recordMatmul } from '../ops/matmul.ts';
import { paddedColumns, type Tensor } from '../ops/tensor.ts';
import type { GemvSizes } from '../ops/tuned-plans.ts';
import { type CandidateLimits, gemvCandidates, gemvFits } from './candidates.ts';
import type { TunableProduct, TunableShape } from './model-shapes.ts';
import { type TunedEntry, TunedTable } from './tuned-table.ts';
import { beginMeasuring, endMeasuring, readTuning, tuningKey, writeTuning } from './tuning-file.ts';

/** Time for all of it at one start. Units: milliseconds. */
const BUDGET_MS = 1500;
/** Rows of x that the kernel has variants for. */
const ROW_CLASSES = [1, 2, 4, 8, 16];
/** More than the caches of any adapter hold several times over. Units: bytes. */
const PASS_BYTES = 512 * 2 ** 20;
/** So many dispatches of one submit fit the recorder. */
const MAX_DISPATCHES = 1200;
/** The first round is for the driver; of the others the shortest time counts, which other work only lengthens. */
const ROUNDS = 4;
/** What is not clearly better than the plan may be noise. */
const MIN_GAIN = 0.03;

export interface AutotuneArgs {
  readonly device: GpuDevice;
  readonly shapes: readonly TunableShape[];
  /** Most rows of a decode step. */
  readonly maxRows: number;
  /** Where measurements are kept; null = nowhere. */
  readonly folder: string | null;
  readonly onProgress?: (fraction: number) => void;
  /** For tests: less to try in less time. */
  readonly budgetMs?: number;
  readonly candidates?: (shape: TunableShape, rows: number) => readonly GemvSizes[];
}

/**
 * Gives what was measured before and measures the rest while the budget lasts. Where a kernel cannot be measured, the plans stand.
 * Throws: EngineError when the device failed; then the next start measures nothing.
 */
export async function autotune(args: AutotuneArgs): Promise<TunedTable> {
  const { device, folder, shapes, budgetMs = BUDGET_MS } = args;
  const limits = candidateLimits(device);
  const key = tuningKey(device);
  const table = new TunedTable();
  const isUsable = (entry: TunedEntry) => !entry.sizes || gemvFits(entry.sizes, entry.kind, entry.rows, limits);
  for (const entry of folder === null ? [] : await readTuning(folder, key, isUsable)) table.add(entry);
  const numKnown = table.entries.length;
  const classes = ROW_CLASSES.filter((rows) => rows < 2 * args.maxRows);
  const jobs = classes.flatMap((rows) => shapes.map((shape) => ({ shape, rows })));
  const open = jobs.filter(({ shape, rows }) => !table.has(shape.kind, shape.format, shape.n, shape.k, rows));
  if (open.length > 0 && (folder === null || (await beginMeasuring(folder, key)))) {
    const bench = new GemvBench(device, shapes);
    const deadline = performance.now() + budgetMs;
    try {
      for (const [i, { shape, rows }] of open.entries()) {
        if (performance.now() >= deadline) break;
        args.onProgress?.(i / open.length);
        const candidates = args.candidates?.(shape, rows) ?? gemvCandidates(shape.kind, rows, limits);
        const { kind, format, n, k } = shape;
        table.add({ kind, format, n, k, rows, sizes: await bench.best(shape, rows, candidates) });
      }
    } catch {
      // A candidate that does not compile: the plan's own kernel may, and says so if not.
      device.throwIfFailed();
    } finally {
      bench.close();
    }
    if (folder !== null) await endMeasuring(folder, key);
  }
  if (folder !== null && table.entries.length > numKnown) await writeTuning(folder, key, table.entries);
  return table;
}

function candidateLimits({ hasSubgroups, limits }: GpuDevice): CandidateLimits {
  return {
    subgroups: hasSubgroups,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    maxWorkgroupSize: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
  };
}

/** Times the kernel with given sizes. */
class GemvBench {
  private readonly recorder: Recorder;
  private readonly context: OpContext;
  private readonly timer: PassTimer;
  private readonly x: Tensor;
  private readonly y: Tensor;

  constructor(
    private readonly device: GpuDevice,
    shapes: readonly TunableShape[],
  ) {
    this.recorder = new Recorder(device, 256);
    this.context = makeContext(device, this.recorder, false);
    this.timer = new PassTimer(this.recorder);
    this.x = this.tensor('tuning x', Math.max(...shapes.map(({ k }) => k)));
    this.y = this.tensor('tuning y', Math.max(...shapes.map(({ n }) => n)));
  }

  /** The best of the candidates; null when none is better than the plan. */
  async best(shape: TunableShape, rows: number, candidates: readonly GemvSizes[]): Promise<GemvSizes | null> {
    const choices = [null, ...candidates];
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
    const [planned = 0] = shortest;
    const fastest = Math.min(...shortest);
    return fastest < planned * (1 - MIN_GAIN) ? (choices[shortest.indexOf(fastest)] ?? null) : null;
  }

  close(): void {
    this.timer.close();
    for (const buffer of [this.x.buffer, this.y.buffer, this.recorder.arena]) this.device.destroyBuffer(buffer);
  }

  /** As many products as are needed to read past the caches. */
  private sample({ bytes, products }: TunableShape, numChoices: number): readonly TunableProduct[] {
    const shards = products[0]?.weight.shards.length ?? 1;
    const most = Math.max(1, Math.floor(MAX_DISPATCHES / numChoices / shards));
    return products.slice(0, Math.min(most, Math.ceil(PASS_BYTES / bytes)));
  }

  private record(
    context: OpContext,
    { n, k }: TunableShape,
    { weight, second }: TunableProduct,
    numRows: number,
  ): void {
    const x = { ...this.x, columns: k, stride: paddedColumns(k) };
    const y = { ...this.y, columns: n, stride: paddedColumns(n) };
    if (second === null) recordMatmul(context, { x, weight, y, numRows });
    else recordGatedMatmul(context, { x, gate: weight, up: second, activation: 'silu', y, numRows });
  }

  private tensor(label: string, columns: number): Tensor {
    const rows = Math.max(...ROW_CLASSES);
    const stride = paddedColumns(columns);
    return { buffer: this.device.createBuffer(label, rows * stride * 4), rows, columns, stride };
  }
}
