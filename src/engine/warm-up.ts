/**
 * Compiles what requests will need before the first one comes, and sees that the adapter computes.
 *
 * Drivers compile a pipeline when it is made or when it first runs, so real steps are run: batches of every size that picks
 * another matrix kernel, prefills, and each stage of sampling. Owns the list of these; nothing of it outlives the load.
 * Next: `local-engine.ts` (who calls it), `ops/matmul.ts` (which sizes differ).
 */
import { assertFinite, type LoadedModel } from './load-model.ts';
import { Scheduler } from './scheduler.ts';
import type { SchedulerOptions } from './scheduler-options.ts';
import { NEUTRAL_SAMPLING, type SamplingParams } from './types.ts';

const GREEDY: SamplingParams = { ...NEUTRAL_SAMPLING, maxTokens: 2, ignoreEos: true };

/** Rows of a step: one of each class for which `planMatmul` chooses another kernel. */
const BATCH_SIZES = [1, 2, 3, 5, 9, 17, 33];
const PROMPT_TOKENS = 40;

/** Ways to sample that need stages of their own. */
const SAMPLINGS: readonly Partial<SamplingParams>[] = [
  { temperature: 1 },
  { temperature: 1, topK: 2 },
  { temperature: 1, topP: 0.9 },
  { temperature: 1, minP: 0.1 },
  { numLogprobs: 2 },
  { frequencyPenalty: 1 },
  { allowedTokenIds: [0] },
];

/** Runs one step of each kind. Throws: EngineError when the adapter computes nonsense or fails. */
export async function warmUp(
  model: LoadedModel,
  options: SchedulerOptions,
  onProgress: (fraction: number) => void,
): Promise<void> {
  const sizes = BATCH_SIZES.filter((size) => size <= options.maxNumSeqs);
  const numRuns = sizes.length + SAMPLINGS.length + 1;
  let numDone = 0;
  const run = async (prompts: readonly number[], params: Partial<SamplingParams>) => {
    await runAll(model, options, prompts, { ...GREEDY, ...params });
    onProgress(++numDone / numRuns);
  };
  await assertComputes(model, options);
  await run([Math.min(PROMPT_TOKENS, options.maxModelLen - 2)], {});
  for (const size of sizes)
    await run(
      Array.from({ length: size }, () => 1),
      {},
    );
  for (const params of SAMPLINGS) await run([1], params);
}

/** Generates for prompts of the given lengths, all at once. */
async function runAll(
  model: LoadedModel,
  options: SchedulerOptions,
  promptLengths: readonly number[],
  params: SamplingParams,
): Promise<void> {
  const scheduler = new Scheduler({ ...options, enablePrefixCaching: false });
  for (const [i, length] of promptLengths.entries()) {
    scheduler.add({ id: String(i), promptTokenIds: promptOf(length, options), params, priority: 0 });
  }
  while (scheduler.hasWork) {
    const plan = scheduler.plan();
    const { sampled } = await model.runner.run(plan);
    scheduler.commit(plan, sampled);
  }
}

async function assertComputes(model: LoadedModel, options: SchedulerOptions): Promise<void> {
  const scheduler = new Scheduler(options);
  scheduler.add({ id: 'first', promptTokenIds: promptOf(1, options), params: GREEDY, priority: 0 });
  assertFinite(await model.runner.logits(scheduler.plan()), model.device);
}

function promptOf(length: number, { vocabSize }: SchedulerOptions): number[] {
  return Array.from({ length: Math.max(1, length) }, (_, i) => i % vocabSize);
}
