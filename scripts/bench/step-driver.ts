/**
 * Runs prefills and decodes of one size on a loaded model, scheduler and runner as in the server, and times their steps.
 *
 * Long contexts are not computed before a decode is timed: the scheduler is told that they are, and attention reads what the cache holds.
 * Times do not depend on the values. Next: `engine.ts` and `peers.ts` (who ask), `kernel-shares.ts` (where a step's time goes).
 */
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { MemoryPlan } from '../../src/engine/memory-plan.ts';
import type { ModelSpec } from '../../src/engine/models/spec.ts';
import type { StepPlan } from '../../src/engine/plan.ts';
import type { Runner, StepInFlight } from '../../src/engine/runner.ts';
import { Scheduler } from '../../src/engine/scheduler.ts';
import { recordedDispatches } from './dispatch-filter.ts';
import { PLAIN_PARAMS } from './plain-params.ts';
import { median } from './table.ts';

/** What is needed of a model to run steps; `LoadedModel` is one. */
export interface DrivenModel {
  readonly device: GpuDevice;
  readonly spec: ModelSpec;
  readonly plan: MemoryPlan;
  readonly runner: Runner;
}

/** How long to measure: at least `minRuns`, then until the time is up or `maxRuns` are done. */
export interface Patience {
  readonly warmUpRuns: number;
  readonly minRuns: number;
  readonly maxRuns: number;
  readonly budgetMs: number;
}

/** A timed step, or a timed prefill of `numSteps` steps. */
export interface StepTimes {
  readonly medianMs: number;
  readonly minMs: number;
  readonly numRuns: number;
  readonly numSteps: number;
  /** Of the thread that plans, records, submits and commits; null for a prefill. Units: milliseconds per step, the median. */
  readonly hostCpuMs: number | null;
  /** In all its steps together. */
  readonly numDispatches: number;
  /** Of the kernels in it. */
  readonly labels: ReadonlySet<string>;
}

const NO_RESULT = { tokenId: 1, logprobs: null };

/** Tokens that decodes of this patience add to a context at most. */
export function decodeRoom({ warmUpRuns, maxRuns }: Patience): number {
  return warmUpRuns + maxRuns + 4;
}

/** Blocks that `sequences` of `tokens` need. */
export function blocksFor(sequences: number, tokens: number, blockSize: number): number {
  return sequences * Math.ceil(tokens / blockSize);
}

/**
 * Decode steps of `batch` sequences whose contexts begin at `context` tokens. `onStep` may look at one such step, and is told what one takes.
 * Limits: the model's plan holds them. Throws: EngineError when the device fails.
 */
export async function measureDecode(
  model: DrivenModel,
  batch: number,
  context: number,
  patience: Patience,
  onStep?: (step: StepPlan, stepMs: number) => Promise<void>,
): Promise<StepTimes> {
  const scheduler = makeScheduler(model, batch * context + batch);
  for (let i = 0; i < batch; i++) addSequence(scheduler, model, `decode-${i}`, context, decodeRoom(patience));
  const filled = scheduler.plan();
  scheduler.commit(filled, Array(filled.numSamples).fill(NO_RESULT));
  const submitNext = () => {
    const step = scheduler.plan();
    if (step.entries.length !== batch) throw new Error(`${step.entries.length} of ${batch} sequences decode`);
    return model.runner.submit(step);
  };
  const commit = async (step: StepInFlight) => scheduler.commit(step.plan, (await step.read()).sampled);
  // As the engine does it: a GPU has the next step before the results of one are waited for.
  const isAhead = !model.device.adapter.isSoftware;
  const times: number[] = [];
  const cpuTimes: number[] = [];
  const startMs = performance.now();
  let current = submitNext();
  for (let i = -patience.warmUpRuns; goesOn(i, startMs, patience); i++) {
    const beforeMs = performance.now();
    const cpuBeforeMs = threadCpuMs();
    const next = isAhead ? submitNext() : null;
    await commit(current);
    current = next ?? submitNext();
    if (i < 0) continue;
    times.push(performance.now() - beforeMs);
    cpuTimes.push(threadCpuMs() - cpuBeforeMs);
  }
  await commit(current);
  const last = scheduler.plan();
  const { count, labels } = await recordedDispatches(() => model.runner.run(last));
  await onStep?.(last, median(times));
  model.device.throwIfFailed();
  return { ...summary(times), hostCpuMs: median(cpuTimes), numSteps: 1, numDispatches: count, labels };
}

/** Prefills of `sequences` prompts of `tokens` at once, until each has its first token. Limits and throws: as {@link measureDecode}. */
export async function measurePrefill(
  model: DrivenModel,
  sequences: number,
  tokens: number,
  patience: Patience,
  onStep?: (step: StepPlan, stepMs: number) => Promise<void>,
): Promise<StepTimes> {
  const times: number[] = [];
  let numSteps = 0;
  const prefill = async () => {
    const scheduler = makeScheduler(model, model.plan.maxNumBatchedTokens);
    for (let i = 0; i < sequences; i++) addSequence(scheduler, model, `prefill-${i}`, tokens, 2);
    const beforeMs = performance.now();
    numSteps = 0;
    for (let numDone = 0; numDone < sequences; numSteps++) {
      const step = scheduler.plan();
      const { sampled } = await model.runner.run(step);
      for (const { requestId } of scheduler.commit(step, sampled).events) {
        // Whoever has a token would decode along and blur the figure.
        if (scheduler.abort(requestId)) numDone++;
      }
    }
    return performance.now() - beforeMs;
  };
  const startMs = performance.now();
  for (let i = -patience.warmUpRuns; goesOn(i, startMs, patience); i++) {
    const ms = await prefill();
    if (i >= 0) times.push(ms);
  }
  const { count, labels } = await recordedDispatches(prefill);
  if (onStep) {
    const scheduler = makeScheduler(model, model.plan.maxNumBatchedTokens);
    for (let i = 0; i < sequences; i++) addSequence(scheduler, model, `prefill-${i}`, tokens, 2);
    await onStep(scheduler.plan(), median(times) / numSteps);
  }
  model.device.throwIfFailed();
  return { ...summary(times), hostCpuMs: null, numSteps, numDispatches: count, labels };
}

/** Does not grow while the thread waits, for the GPU or for its turn on a busy machine. */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Whether run `i` is made, counted from the first that is timed. */
function goesOn(i: number, startMs: number, { minRuns, maxRuns, budgetMs }: Patience): boolean {
  return i < minRuns || (i < maxRuns && performance.now() - startMs < budgetMs);
}

function summary(times: readonly number[]): { medianMs: number; minMs: number; numRuns: number } {
  return { medianMs: median(times), minMs: Math.min(...times), numRuns: times.length };
}

function makeScheduler({ plan, spec }: DrivenModel, maxNumBatchedTokens: number): Scheduler {
  const { numBlocks, blockSize, maxNumSeqs } = plan;
  return new Scheduler({
    ...{ numBlocks, blockSize, maxNumSeqs, maxNumBatchedTokens },
    ...{ maxModelLen: Math.min(plan.maxModelLen, numBlocks * blockSize), vocabSize: spec.vocab, eosTokenIds: [] },
    ...{
      enableChunkedPrefill: true,
      enablePrefixCaching: false,
      policy: 'fcfs',
      seed: 0,
      maxUnknownTokens: () => Number.POSITIVE_INFINITY,
    },
  });
}

function addSequence(scheduler: Scheduler, { spec }: DrivenModel, id: string, length: number, maxTokens: number): void {
  const promptTokenIds = Uint32Array.from({ length }, (_, i) => (i * 7 + id.length) % spec.vocab);
  scheduler.add({ id, promptTokenIds, params: { ...PLAIN_PARAMS, maxTokens }, priority: 0 });
}
