/**
 * Compiles what requests will need before the first one comes, and sees that the adapter computes.
 *
 * First the steps of a long list are recorded without running them, and the kernels that they asked for are compiled together, in the
 * background. Then a few real steps run, because drivers may finish a pipeline only when it first runs. Nothing of it outlives the load.
 * Next: `warm-up-plans.ts` (the long list), `local-engine.ts` (who calls it).
 */
import { assertFinite, type LoadedModel } from './load-model.ts';
import { Scheduler } from './scheduler.ts';
import type { SchedulerOptions } from './scheduler-options.ts';
import { NEUTRAL_SAMPLING, type SamplingParams } from './types.ts';
import { promptsOf, type WarmUpRun, warmUpRuns } from './warm-up-plans.ts';

/** Rows of the real steps: one of each class for which `planMatmul` chooses another kernel. */
const BATCH_SIZES = [1, 2, 3, 5, 9, 17, 33];
const PROMPT_TOKENS = 40;

/** Ways to sample that need stages of their own, for the real steps. */
const SAMPLINGS: readonly Partial<SamplingParams>[] = [
  { temperature: 1 },
  { temperature: 1, topK: 2 },
  { temperature: 1, topP: 0.9 },
  { temperature: 1, minP: 0.1 },
  { numLogprobs: 2 },
  { frequencyPenalty: 1 },
  { allowedTokenIds: [0] },
];

/** Told what is going on, and which share of that is done. */
export type WarmUpListener = (text: string, fraction: number) => void;

/** Compiles everything and runs one step of each kind. Throws: EngineError when the adapter computes nonsense or fails. */
export async function warmUp(model: LoadedModel, options: SchedulerOptions, onProgress: WarmUpListener): Promise<void> {
  await collectKernels(model, options);
  await model.device.compileCollected((numReady, numAll) =>
    onProgress(`compiling ${numAll} kernels`, numReady / numAll),
  );
  await assertComputes(model, options);
  const runs = realRuns(model, options);
  for (const [i, run] of runs.entries()) {
    onProgress('running first steps', i / runs.length);
    await runAll(model, options, run);
  }
  onProgress('running first steps', 1);
}

/** Makes the kernels of every step that requests may lead to; none is compiled by it. */
export async function collectKernels(model: LoadedModel, options: SchedulerOptions): Promise<void> {
  await model.device.collectKernels(async () => {
    const expertRows = model.runner.expertSteps.map(({ numTokens }) => numTokens);
    for (const run of warmUpRuns(options, expertRows)) await runAll(model, options, run);
  });
}

function realRuns({ runner }: LoadedModel, options: SchedulerOptions): WarmUpRun[] {
  const longest = Math.max(1, options.maxModelLen - 2);
  // What subgroup matrices need to know of the experts' weights is computed when they first run.
  const withMatrices = runner.expertSteps.find(({ usesMatrices }) => usesMatrices);
  const prompts = [[Math.min(PROMPT_TOKENS, longest)]];
  if (withMatrices) prompts.push(promptsOf(withMatrices.numTokens, longest));
  const greedy = { ...NEUTRAL_SAMPLING, maxTokens: 2, ignoreEos: true };
  const sizes = BATCH_SIZES.filter((size) => size <= options.maxNumSeqs);
  return [
    ...prompts.map((promptLengths) => ({ promptLengths, params: greedy })),
    ...sizes.map((size) => ({ promptLengths: Array<number>(size).fill(1), params: greedy })),
    ...SAMPLINGS.map((sampling) => ({ promptLengths: [1], params: { ...greedy, ...sampling } })),
  ];
}

/** Generates for prompts of the given lengths, all at once. */
async function runAll(model: LoadedModel, options: SchedulerOptions, run: WarmUpRun): Promise<void> {
  const scheduler = new Scheduler({ ...options, enablePrefixCaching: false });
  for (const [i, length] of run.promptLengths.entries()) {
    scheduler.add({ id: String(i), promptTokenIds: promptOf(length, options), params: run.params, priority: 0 });
  }
  while (scheduler.hasWork) {
    const plan = scheduler.plan();
    const { sampled, scored } = await model.runner.run(plan);
    scheduler.commit(plan, sampled, scored);
  }
}

async function assertComputes(model: LoadedModel, options: SchedulerOptions): Promise<void> {
  const params = { ...NEUTRAL_SAMPLING, maxTokens: 2, ignoreEos: true };
  const scheduler = new Scheduler(options);
  scheduler.add({ id: 'first', promptTokenIds: promptOf(1, options), params, priority: 0 });
  assertFinite(await model.runner.logits(scheduler.plan()), model.device);
}

function promptOf(length: number, { vocabSize }: SchedulerOptions): number[] {
  return Array.from({ length: Math.max(1, length) }, (_, i) => i % vocabSize);
}
