/**
 * The engine at real models' shapes with made-up weights: tokens per second, and how near a step comes to what the adapter allows.
 *
 * Owns the order of measuring: one model after another, what the aims ask for first, until the time is over. Steps go through scheduler and runner as
 * in the server; there is no tokenizer and no HTTP. Next: `engine-cases.ts`, `step-driver.ts` (times), `roofline.ts` (bounds), `breakdown.ts`,
 * `synthetic-model.ts`, `engine-report.ts` (what is printed).
 */
import { writeFileSync } from 'node:fs';
import type { EngineConfig } from '../../src/config/server-config.ts';
import { adapterName, type BindingName } from '../../src/engine/gpu/binding.ts';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { MatrixFormat } from '../../src/engine/ops/tensor.ts';
import type { StepPlan } from '../../src/engine/plan.ts';
import { EngineError } from '../../src/engine/types.ts';
import { type Breakdown, type BreakdownKind, measureBreakdown } from './breakdown.ts';
import { measureCeilings } from './ceilings.ts';
import { measureDispatchCost } from './dispatch-cost.ts';
import { type Case, caseName, casesFor, defaultsFor, type WantedCases } from './engine-cases.ts';
import { type CaseResult, caseLine, chartOf, printResults, printSummary, ratesLine } from './engine-report.ts';
import { GpuTimer } from './gpu-timer.ts';
import { type ShapeName, shapeSpec } from './model-shapes.ts';
import { arithmeticPath, boundsOf, type Rates, stepWork } from './roofline.ts';
import { blocksFor, decodeRoom, measureDecode, measurePrefill, type Patience } from './step-driver.ts';
import { makeSyntheticModel, type SyntheticModel } from './synthetic-model.ts';
import { batchRatios, judgeTargets } from './targets.ts';

/** Null: a default that suits the adapter. */
export interface EngineBenchOptions extends WantedCases {
  readonly models: readonly ShapeName[] | null;
  readonly dtype: MatrixFormat;
  readonly kvDtype: EngineConfig['kvCacheDtype'];
  /** Multiply integer weights with activations as bytes. */
  readonly intActivations: boolean;
  readonly budgetMs: number;
  /** Nothing new is begun after it; null = no limit. */
  readonly limitMs: number | null;
  /** Rounds of the breakdown per kernel; 0 = none. */
  readonly breakdownRounds: number;
  readonly breakdownBy: BreakdownKind;
  readonly svgPath: string | null;
  /** Gets all figures so far after every case, so that an end by force costs only the case at hand. */
  readonly onProgress: (report: object) => void;
}

const CEILING_BUDGET_MS = 500;

/** Measures all cases and prints a table. Throws: EngineError without a usable adapter. */
export async function benchEngine(options: EngineBenchOptions): Promise<object> {
  const startMs = performance.now();
  const binding = (process.env.GPU_BINDING || 'auto') as BindingName | 'auto';
  const device = await GpuDevice.open(binding, { robustness: false, profiling: true });
  const { isSoftware } = device.adapter;
  const defaults = defaultsFor(isSoftware);
  const patience: Patience = { ...defaults.patience, budgetMs: options.budgetMs };
  const { dtype, kvDtype, intActivations } = options;
  const about = {
    ...{ adapter: adapterName(device.adapter), binding: device.binding, dtype, kvDtype, intActivations },
    ...{ subgroups: device.hasSubgroups, f16: device.hasF16, date: new Date().toISOString().slice(0, 10) },
    environment: { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null },
  };
  console.log(`${about.adapter} through ${about.binding}; weights ${dtype}, cache ${kvDtype}`);
  const rates = await measureRates(device);
  console.log(`${ratesLine(rates)}\n`);
  const results: CaseResult[] = [];
  const skipped: string[] = [];
  const report = () => ({
    ...{ ...about, rates, results, skipped, batchRatios: batchRatios(results) },
    targets: judgeTargets(results, isSoftware),
  });
  const skip = (what: string, why: string) => {
    skipped.push(`${what}: ${why}`);
    console.log(`skipped ${what}: ${why}`);
  };
  const isLate = () => options.limitMs !== null && performance.now() - startMs > options.limitMs;
  const run: EngineRun = { device, options, rates, patience, skip, isLate };
  for (const alternatives of options.models?.map((name) => [name]) ?? defaults.models) {
    for (const name of alternatives) {
      const isMeasured = await measureModel(run, name, (result) => {
        console.log(caseLine(result));
        results.push(result);
        options.onProgress(report());
      });
      if (isMeasured) break;
    }
  }
  device.throwIfFailed();
  console.log('');
  printResults(results, about.adapter);
  const all = report();
  printSummary(all.batchRatios, all.targets, isSoftware);
  if (options.svgPath !== null) writeFileSync(options.svgPath, chartOf(results, `${about.adapter}, ${about.date}`));
  device.close();
  return all;
}

interface EngineRun {
  readonly device: GpuDevice;
  readonly options: EngineBenchOptions;
  readonly rates: Rates;
  readonly patience: Patience;
  readonly skip: (what: string, why: string) => void;
  readonly isLate: () => boolean;
}

/** Measures the cases of a model that fit. False where the model itself does not fit the adapter, so that another may take its place. */
async function measureModel(run: EngineRun, name: ShapeName, onResult: (result: CaseResult) => void): Promise<boolean> {
  const { device, options, patience, skip, isLate } = run;
  if (isLate()) {
    skip(name, 'the time is over');
    return true;
  }
  const spec = shapeSpec(name);
  const lengthOf = (one: Case) => one.tokens + decodeRoom(patience);
  const cases = casesFor(options, device.adapter.isSoftware);
  const possible = cases.filter((one) => lengthOf(one) <= spec.maxPositions + decodeRoom(patience));
  for (const one of cases) if (!possible.includes(one)) skip(`${name} ${caseName(one)}`, 'longer than its context');
  if (possible.length === 0) return true;
  let model: SyntheticModel;
  try {
    model = await makeSyntheticModel(device, spec, options, {
      maxSequences: Math.max(...possible.map((one) => one.sequences)),
      maxModelLen: Math.max(...possible.map(lengthOf)),
      blocksOfCases: (blockSize) => possible.map((one) => blocksFor(one.sequences, lengthOf(one), blockSize)),
    });
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    skip(name, error.message);
    return false;
  }
  const { numBlocks, blockSize, maxModelLen, maxNumSeqs } = model.plan;
  for (const one of possible) {
    const blocks = blocksFor(one.sequences, lengthOf(one), blockSize);
    const fits = blocks <= numBlocks && lengthOf(one) <= maxModelLen && one.sequences <= maxNumSeqs;
    if (!fits) skip(`${name} ${caseName(one)}`, `its cache does not fit the adapter's memory or binding limit`);
    else if (isLate()) skip(`${name} ${caseName(one)}`, 'the time is over');
    else onResult(await measureCase(run, model, name, one));
  }
  model.release();
  return true;
}

async function measureRates(device: GpuDevice): Promise<Rates> {
  const timer = new GpuTimer(device, CEILING_BUDGET_MS);
  return { ...(await measureCeilings(timer)), dispatchMs: await measureDispatchCost(timer) };
}

async function measureCase(run: EngineRun, model: SyntheticModel, name: ShapeName, one: Case): Promise<CaseResult> {
  const { options, rates, patience } = run;
  const { dtype, breakdownRounds, breakdownBy } = options;
  const { kind, sequences, tokens } = one;
  let breakdown: Breakdown | null = null;
  const onStep = async (step: StepPlan, stepMs: number) => {
    if (breakdownRounds === 0) return;
    const wanted = { wanted: breakdownBy, rounds: breakdownRounds, stepMs };
    breakdown = await measureBreakdown(model.device, () => model.runner.run(step), wanted);
  };
  const isDecode = kind === 'decode';
  const times = await (isDecode ? measureDecode : measurePrefill)(model, sequences, tokens, patience, onStep);
  const newTokens = isDecode ? 1 : tokens;
  const work = stepWork(model.spec, dtype, model.kvBytes, {
    ...{ sequences, newTokens, context: isDecode ? tokens + 1 : tokens, numSteps: times.numSteps },
  });
  const measured = breakdown as Breakdown | null;
  return {
    ...{ ...one, model: name, dtype, stepMs: times.medianMs, hostCpuMs: times.hostCpuMs },
    ...{ numSteps: times.numSteps, numDispatches: times.numDispatches },
    ...{ breakdownBy: measured?.by ?? null, kernels: measured?.kernels ?? [] },
    tokensPerSecond: (sequences * newTokens) / (times.medianMs / 1000),
    ...boundsOf(work, rates, times.numDispatches, times.medianMs, arithmeticPath(times.labels)),
  };
}
