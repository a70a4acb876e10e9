/**
 * Whole models in tests: loads a checkpoint folder on the test's device binding and drives it through the real scheduler.
 */
import { fileURLToPath } from 'node:url';
import type { EngineConfig } from '../../src/config/server-config.ts';
import { type LoadedModel, loadModel } from '../../src/engine/load-model.ts';
import { Scheduler } from '../../src/engine/scheduler.ts';
import type { SchedulerOptions } from '../../src/engine/scheduler-options.ts';
import { StepPipeline } from '../../src/engine/step-pipeline.ts';
import { type GenerateRequest, NEUTRAL_SAMPLING, type SamplingParams } from '../../src/engine/types.ts';
import { maxUnknownTokens } from '../../src/sampling/sequence-state.ts';

export const fixtureFolder = (name: string) => fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url));

export const TEST_CONFIG: EngineConfig = {
  gpuBinding: (process.env.GPU_BINDING ?? 'bun-webgpu') as EngineConfig['gpuBinding'],
  gpuSubgroups: 'auto',
  gpuF16: 'auto',
  gpuMatrices: 'auto',
  dtype: 'auto',
  kvCacheDtype: 'float32',
  quantization: null,
  intActivations: false,
  maxModelLen: null,
  blockSize: 16,
  gpuMemoryUtilization: 0.9,
  gpuMemoryGib: 1,
  numGpuBlocksOverride: null,
  maxNumBatchedTokens: 128,
  maxNumSeqs: 64,
  enableChunkedPrefill: true,
  enablePrefixCaching: true,
  schedulingPolicy: 'fcfs',
  stepsInFlight: null,
  preemptionMode: 'recompute',
  swapSpaceGib: 4,
  schedulerDelayFactor: 0,
  seed: 0,
  tuningFolder: null,
  gpuRobustness: true,
};

/** Loads a checkpoint; `software` chooses between the two sets of kernels, which the adapter does otherwise. */
export async function loadTestModel(
  folder: string,
  config: Partial<EngineConfig> = {},
  software?: boolean,
): Promise<LoadedModel> {
  const options = {
    ...{ onProgress: () => {}, onNotice: () => {} },
    ...(software !== undefined && { software }),
  };
  return loadModel(folder, { ...TEST_CONFIG, ...config }, options);
}

export function newScheduler(model: LoadedModel, options: Partial<SchedulerOptions> = {}): Scheduler {
  const { plan, spec } = model;
  return new Scheduler({
    numBlocks: plan.numBlocks,
    blockSize: plan.blockSize,
    maxModelLen: plan.maxModelLen,
    maxNumSeqs: plan.maxNumSeqs,
    maxNumBatchedTokens: plan.maxNumBatchedTokens,
    enableChunkedPrefill: true,
    enablePrefixCaching: false,
    policy: 'fcfs',
    vocabSize: spec.vocab,
    eosTokenIds: spec.eosTokenIds,
    seed: 0,
    maxUnknownTokens,
    ...options,
  });
}

export function greedyParams(maxTokens: number, more: Partial<SamplingParams> = {}): SamplingParams {
  return { ...NEUTRAL_SAMPLING, maxTokens, ignoreEos: true, ...more };
}

export function request(id: string, promptTokenIds: readonly number[], params: SamplingParams): GenerateRequest {
  return { id, promptTokenIds, params, priority: 0 };
}

/** Runs requests to their end, with up to `depth` steps in flight; gives each one's tokens. Throws: when a scheduler invariant is broken. */
export async function generateAll(
  model: LoadedModel,
  requests: readonly GenerateRequest[],
  options: Partial<SchedulerOptions> = {},
  depth = 1,
): Promise<{ tokens: Map<string, number[]>; preemptions: number }> {
  const scheduler = newScheduler(model, options);
  const tokens = new Map<string, number[]>();
  for (const each of requests) {
    scheduler.add(each);
    tokens.set(each.id, []);
  }
  const pipeline = new StepPipeline(scheduler, model.runner, depth);
  while (pipeline.hasWork) {
    const { events } = (await pipeline.step()) ?? { events: [] };
    for (const { requestId, event } of events) tokens.get(requestId)?.push(event.tokenId);
    scheduler.assertInvariants();
  }
  const { stats } = scheduler;
  if (stats.numFreeBlocks !== stats.numBlocks)
    throw new Error(`${stats.numBlocks - stats.numFreeBlocks} blocks leaked`);
  return { tokens, preemptions: stats.numPreemptions };
}

/** The logits of every prompt position, computed through the scheduler with the given options. Shapes: per prompt [length, V]. */
export async function promptLogits(
  model: LoadedModel,
  prompts: readonly (readonly number[])[],
  options: Partial<SchedulerOptions> = {},
): Promise<Float32Array[]> {
  const scheduler = newScheduler(model, options);
  const { vocab } = model.spec;
  const out = prompts.map((prompt) => new Float32Array(prompt.length * vocab));
  prompts.forEach((prompt, i) => {
    scheduler.add(request(String(i), prompt, greedyParams(1)));
  });
  while (scheduler.hasWork) {
    const plan = scheduler.plan();
    const logits = await model.runner.logits(plan);
    let row = 0;
    for (const { sequence, start, numTokens } of plan.entries) {
      out[Number(sequence.id)]?.set(logits.subarray(row * vocab, (row + numTokens) * vocab), start * vocab);
      row += numTokens;
    }
    // The next token does not matter here: each request ends with its first.
    scheduler.commit(
      plan,
      plan.entries.filter((entry) => entry.samples).map(() => ({ tokenId: 0, logprobs: null })),
    );
  }
  return out;
}
