/**
 * The engine at real models' shapes with made-up weights: tokens per second, and how near a step comes to what the adapter allows.
 *
 * Owns the cases and the report. Steps go through scheduler and runner as in the server; there is no tokenizer and no HTTP.
 * Next: `step-driver.ts` (times), `roofline.ts` (bounds), `synthetic-model.ts`, `kernel-shares.ts`.
 */
import { writeFileSync } from 'node:fs';
import type { BindingName } from '../../src/engine/gpu/binding.ts';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { MatrixFormat } from '../../src/engine/ops/tensor.ts';
import type { StepPlan } from '../../src/engine/plan.ts';
import { EngineError } from '../../src/engine/types.ts';
import { measureCeilings } from './ceilings.ts';
import { type BarGroup, barChartSvg } from './chart.ts';
import { measureDispatchCost } from './dispatch-cost.ts';
import { GpuTimer } from './gpu-timer.ts';
import { type KernelShare, measureKernelShares } from './kernel-shares.ts';
import { type ShapeName, shapeSpec } from './model-shapes.ts';
import { type Bounds, boundsOf, type Rates, stepWork } from './roofline.ts';
import { blocksFor, decodeRoom, measureDecode, measurePrefill, type Patience } from './step-driver.ts';
import { makeSyntheticModel, type SyntheticModel } from './synthetic-model.ts';
import { printTable, short } from './table.ts';

/** Null: a default that suits the adapter. */
export interface EngineBenchOptions {
  readonly models: readonly ShapeName[] | null;
  readonly dtype: MatrixFormat;
  readonly batches: readonly number[] | null;
  readonly contexts: readonly number[] | null;
  readonly prefills: readonly number[] | null;
  readonly budgetMs: number;
  /** Rounds of the breakdown per kernel; 0 = none. */
  readonly breakdownRounds: number;
  readonly svgPath: string | null;
}

/** What is measured by default: on a CPU only what ends soon. */
const DEFAULTS = {
  software: { models: ['demo', 'smollm-135m'], batches: [1, 8], contexts: [128], prefills: [128] },
  gpu: {
    models: ['qwen3-0.6b', 'llama-3.2-1b', 'llama-3.1-8b'],
    batches: [1, 8, 32, 128],
    contexts: [128, 2048, 8192],
    prefills: [512, 2048],
  },
} as const;
const PATIENCE = {
  software: { warmUpRuns: 1, minRuns: 3, maxRuns: 20 },
  gpu: { warmUpRuns: 5, minRuns: 10, maxRuns: 100 },
} as const;
const CEILING_BUDGET_MS = 500;

interface Case {
  readonly kind: 'decode' | 'prefill';
  readonly sequences: number;
  /** Of a decode: the context; of a prefill: the prompt. */
  readonly tokens: number;
}

interface CaseResult extends Case, Bounds {
  readonly model: ShapeName;
  readonly dtype: MatrixFormat;
  readonly stepMs: number;
  readonly tokensPerSecond: number;
  readonly numDispatches: number;
  readonly kernels: readonly KernelShare[];
}

/** Measures all cases and prints a table. Throws: EngineError without a usable adapter. */
export async function benchEngine(options: EngineBenchOptions): Promise<object> {
  const binding = (process.env.GPU_BINDING || 'auto') as BindingName | 'auto';
  const device = await GpuDevice.open(binding, { robustness: false, profiling: true });
  const kind = device.adapter.isSoftware ? 'software' : 'gpu';
  const defaults = DEFAULTS[kind];
  const patience: Patience = { ...PATIENCE[kind], budgetMs: options.budgetMs };
  const about = {
    ...{ adapter: device.adapter.description || device.adapter.device, binding: device.binding, dtype: options.dtype },
    ...{ subgroups: device.hasSubgroups, f16: device.hasF16, date: new Date().toISOString().slice(0, 10) },
    environment: { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null },
  };
  console.log(`${about.adapter} through ${about.binding}; weights ${options.dtype}`);
  const rates = await measureRates(device);
  console.log(
    `reads ${short(rates.bandwidth / 1e9)} GB/s, computes ${short(rates.arithmetic / 1e9)} GFLOP/s (f32), ` +
      `${short(rates.dispatchMs * 1000)} us for a dispatch that waits for another\n`,
  );
  const cases: Case[] = [
    ...(options.contexts ?? defaults.contexts).flatMap((tokens) =>
      (options.batches ?? defaults.batches).map((sequences): Case => ({ kind: 'decode', sequences, tokens })),
    ),
    ...(options.prefills ?? defaults.prefills).map((tokens): Case => ({ kind: 'prefill', sequences: 1, tokens })),
  ];
  const results: CaseResult[] = [];
  const skipped: string[] = [];
  const skip = (what: string, why: string) => {
    skipped.push(`${what}: ${why}`);
    console.log(`skipped ${what}: ${why}`);
  };
  for (const name of options.models ?? defaults.models) {
    const spec = shapeSpec(name);
    const lengthOf = (one: Case) => one.tokens + decodeRoom(patience);
    const possible = cases.filter((one) => lengthOf(one) <= spec.maxPositions + decodeRoom(patience));
    for (const one of cases) if (!possible.includes(one)) skip(`${name} ${caseName(one)}`, 'longer than its context');
    if (possible.length === 0) continue;
    let model: SyntheticModel;
    try {
      model = await makeSyntheticModel(device, spec, options.dtype, {
        maxSequences: Math.max(...possible.map((one) => one.sequences)),
        maxModelLen: Math.max(...possible.map(lengthOf)),
        blocksOfCases: (blockSize) => possible.map((one) => blocksFor(one.sequences, lengthOf(one), blockSize)),
      });
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      skip(name, error.message);
      continue;
    }
    const { numBlocks, blockSize, maxModelLen, maxNumSeqs } = model.plan;
    for (const one of possible) {
      const blocks = blocksFor(one.sequences, lengthOf(one), blockSize);
      if (blocks > numBlocks || lengthOf(one) > maxModelLen || one.sequences > maxNumSeqs) {
        skip(`${name} ${caseName(one)}`, `its cache does not fit the adapter's memory or binding limit`);
        continue;
      }
      const result = await measureCase(model, name, one, rates, options, patience);
      console.log(`${name} ${caseName(one)}: ${short(result.stepMs)} ms, ${short(result.tokensPerSecond)} tokens/s`);
      results.push(result);
    }
    model.release();
  }
  device.throwIfFailed();
  console.log('');
  printResults(results, about.adapter);
  if (options.svgPath !== null) writeFileSync(options.svgPath, chartOf(results, `${about.adapter}, ${about.date}`));
  device.close();
  return { ...about, rates, results, skipped };
}

async function measureRates(device: GpuDevice): Promise<Rates> {
  const timer = new GpuTimer(device, CEILING_BUDGET_MS);
  return { ...(await measureCeilings(timer)), dispatchMs: await measureDispatchCost(timer) };
}

async function measureCase(
  model: SyntheticModel,
  name: ShapeName,
  one: Case,
  rates: Rates,
  { dtype, breakdownRounds }: EngineBenchOptions,
  patience: Patience,
): Promise<CaseResult> {
  const { kind, sequences, tokens } = one;
  let kernels: KernelShare[] = [];
  const onStep = async (step: StepPlan) => {
    if (breakdownRounds > 0) kernels = await measureKernelShares(() => model.runner.run(step), breakdownRounds);
  };
  const isDecode = kind === 'decode';
  const times = await (isDecode ? measureDecode : measurePrefill)(model, sequences, tokens, patience, onStep);
  const newTokens = isDecode ? 1 : tokens;
  const work = stepWork(model.spec, dtype, model.kvBytes, {
    ...{ sequences, newTokens, context: isDecode ? tokens + 1 : tokens, numSteps: times.numSteps },
  });
  return {
    ...{ ...one, model: name, dtype, stepMs: times.medianMs, numDispatches: times.numDispatches, kernels },
    tokensPerSecond: (sequences * newTokens) / (times.medianMs / 1000),
    ...boundsOf(work, rates, times.numDispatches, times.medianMs),
  };
}

function caseName({ kind, sequences, tokens }: Case): string {
  return kind === 'decode' ? `decode of ${sequences} at ${tokens}` : `prefill of ${tokens}`;
}

function printResults(results: readonly CaseResult[], adapter: string): void {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  console.log(`on ${adapter}`);
  printTable(
    [
      'case',
      'ms',
      'tokens/s',
      'memory ms',
      'arithmetic ms',
      'dispatches',
      'their ms',
      'bound by',
      'roofline',
      'with dispatches',
    ],
    results.map((result) => [
      ...[`${result.model} ${result.dtype} ${caseName(result)}`, short(result.stepMs), short(result.tokensPerSecond)],
      ...[short(result.memoryMs), short(result.arithmeticMs), result.numDispatches, short(result.dispatchMs)],
      ...[result.boundBy, percent(result.rooflineShare), percent(result.shareWithDispatches)],
    ]),
  );
  for (const result of results.filter(({ kernels }) => kernels.length > 0)) {
    console.log(`on ${adapter}`);
    printTable(
      [`${result.model} ${caseName(result)}, one step`, 'dispatches', 'ms', 'share'],
      result.kernels.map((kernel) => [kernel.kernel, kernel.numDispatches, short(kernel.ms), percent(kernel.share)]),
    );
  }
}

function chartOf(results: readonly CaseResult[], subtitle: string): string {
  const groups = results.map(
    (result): BarGroup => ({
      label: `${result.model} ${caseName(result)}`,
      values: [result.rooflineShare * 100, result.shareWithDispatches * 100],
    }),
  );
  const title = 'Share of what the adapter allows';
  return barChartSvg({ title, subtitle, unit: '%', series: ['roofline', 'with dispatches'], groups });
}
