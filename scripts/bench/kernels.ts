/**
 * Each kernel's time, and its share of what the adapter's memory or arithmetic allows.
 *
 * A kernel can be no faster than its bytes through memory or its operations through the units, whichever takes longer; the share
 * is that time divided by the measured one. Next: `kernel-cases.ts` (what runs), `ceilings.ts`, `gpu-timer.ts`.
 */
import type { BindingName } from '../../src/engine/gpu/binding.ts';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import { type Ceilings, measureCeilings } from './ceilings.ts';
import { recordedDispatches } from './dispatch-filter.ts';
import { GpuTimer } from './gpu-timer.ts';
import { kernelCases } from './kernel-cases.ts';
import { type ArithmeticPath, arithmeticPath, rateOf } from './roofline.ts';
import { printTable, short } from './table.ts';

export interface KernelOptions {
  /** Only kernels whose name contains it. */
  readonly only: string;
  /** Units: milliseconds per kernel. */
  readonly budgetMs: number;
  /** Gets all figures so far after every kernel, so that an end by force costs only the one at hand. */
  readonly onProgress: (report: object) => void;
}

interface KernelResult {
  readonly kernel: string;
  readonly microseconds: number;
  readonly gigabytesPerSecond: number;
  readonly gigaflops: number;
  /** Which of the two ceilings is the lower one for this kernel. */
  readonly bound: 'memory' | 'arithmetic';
  /** The units whose rate is the ceiling of its arithmetic. */
  readonly units: ArithmeticPath;
  readonly share: number;
}

/** Measures all kernels and prints a table. Throws: EngineError without a usable adapter. */
export async function benchKernels({ only, budgetMs, onProgress }: KernelOptions): Promise<object> {
  const binding = (process.env.GPU_BINDING || 'auto') as BindingName | 'auto';
  const device = await GpuDevice.open(binding, { robustness: false, profiling: false });
  const timer = new GpuTimer(device, budgetMs);
  const about = {
    adapter: device.adapter.description || device.adapter.device,
    binding: device.binding,
    subgroups: device.hasSubgroups,
    f16: device.hasF16,
    environment: { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null },
  };
  console.log(`${about.adapter} through ${about.binding}; subgroups ${about.subgroups}, f16 ${about.f16}`);
  const ceilings = await measureCeilings(timer);
  const { bandwidth, arithmetic, matrix } = ceilings;
  const matrixRate = matrix === null ? '' : `, ${short(matrix / 1e9)} (f16 matrices)`;
  console.log(`reads ${short(bandwidth / 1e9)} GB/s, computes ${short(arithmetic / 1e9)} GFLOP/s (f32)${matrixRate}\n`);
  const results: KernelResult[] = [];
  for (const { name, bytes, flops, make } of kernelCases(device)) {
    if (!name.includes(only)) continue;
    const { prepare, release } = await make(timer.context);
    const { labels } = await recordedDispatches(async () => {
      prepare()(0);
      timer.context.recorder.reset();
    });
    const ms = await timer.time(prepare);
    release();
    const result = { kernel: name, ...rate(ms, bytes, flops, ceilings, arithmeticPath(labels)) };
    console.log(`${name}: ${short(result.microseconds)} us, ${(result.share * 100).toFixed(1)} %`);
    results.push(result);
    onProgress({ ...about, ceilings, kernels: results });
  }
  device.throwIfFailed();
  console.log('');
  printResults(results);
  device.close();
  return { ...about, ceilings, kernels: results };
}

function rate(
  ms: number,
  bytes: number,
  flops: number,
  ceilings: Ceilings,
  units: ArithmeticPath,
): Omit<KernelResult, 'kernel'> {
  const seconds = ms / 1000;
  const memorySeconds = bytes / ceilings.bandwidth;
  const arithmeticSeconds = flops / rateOf(ceilings, units);
  return {
    microseconds: ms * 1000,
    gigabytesPerSecond: bytes / seconds / 1e9,
    gigaflops: flops / seconds / 1e9,
    bound: memorySeconds > arithmeticSeconds ? 'memory' : 'arithmetic',
    units,
    share: Math.max(memorySeconds, arithmeticSeconds) / seconds,
  };
}

function printResults(results: readonly KernelResult[]): void {
  printTable(
    ['kernel', 'us', 'GB/s', 'GFLOP/s', 'bound by', 'units', 'share'],
    results.map((result) => [
      result.kernel,
      short(result.microseconds),
      short(result.gigabytesPerSecond),
      short(result.gigaflops),
      result.bound,
      result.units,
      `${(result.share * 100).toFixed(1)} %`,
    ]),
  );
}
