/**
 * The engine in one process: scheduler and runner behind the host's contract. One step is plan -> run -> commit.
 *
 * Owns the counters and the choice of numbers that the front is told. Knows no sockets. Next: `scheduler.ts`, `runner.ts`,
 * `host/engine-loop.ts` (who calls it).
 */
import type { CreateLocalEngine, EngineProgress, LocalEngine, StepOutput } from './host/local-engine-contract.ts';
import { assertFinite, type LoadedModel, loadModel } from './load-model.ts';
import { Scheduler } from './scheduler.ts';
import type { SchedulerOptions } from './scheduler-options.ts';
import type { EngineInfo, EngineStats, GenerateRequest, SamplingParams } from './types.ts';

/** Weight of the newest step in the average of the host's time. */
const HOST_TIME_SHARE = 0.05;

/** Loads the model and warms it up. Throws: EngineError. */
export const createLocalEngine: CreateLocalEngine = async (init, onProgress) => {
  const model = await loadModel(init.modelFolder, init.config, {
    onProgress: (text, fraction) => onProgress({ text, fraction }),
    onNotice: (message) => console.error(message),
  });
  const options: SchedulerOptions = {
    numBlocks: model.plan.numBlocks,
    blockSize: model.plan.blockSize,
    maxModelLen: model.plan.maxModelLen,
    maxNumSeqs: model.plan.maxNumSeqs,
    maxNumBatchedTokens: model.plan.maxNumBatchedTokens,
    enableChunkedPrefill: init.config.enableChunkedPrefill,
    enablePrefixCaching: init.config.enablePrefixCaching,
    policy: init.config.schedulingPolicy,
    vocabSize: model.spec.vocab,
    eosTokenIds: model.spec.eosTokenIds,
    seed: init.config.seed,
  };
  await warmUp(model, options, onProgress);
  return new GpuEngine(model, new Scheduler(options));
};

class GpuEngine implements LocalEngine {
  readonly info: EngineInfo;
  private hostStepMs = 0;

  constructor(
    private readonly model: LoadedModel,
    private readonly scheduler: Scheduler,
  ) {
    const { device, spec, plan } = model;
    this.info = {
      architecture: spec.architecture,
      vocabSize: spec.vocab,
      maxModelLen: plan.maxModelLen,
      maxNumSeqs: scheduler.options.maxNumSeqs,
      eosTokenIds: spec.eosTokenIds,
      blockSize: plan.blockSize,
      numBlocks: plan.numBlocks,
      adapter: device.adapter.description || device.adapter.device,
      binding: device.binding,
      dtype: model.dtype,
      weightBytes: model.weightBytes,
      kvCacheBytes: plan.kvCacheBytes,
    };
  }

  get hasWork(): boolean {
    return this.scheduler.hasWork;
  }

  submit(request: GenerateRequest): void {
    this.scheduler.add(request);
  }

  abort(requestId: string): void {
    this.scheduler.abort(requestId);
  }

  async step(): Promise<StepOutput> {
    const startMs = performance.now();
    const plan = this.scheduler.plan();
    if (plan.entries.length === 0) return { events: [], failed: [] };
    const waitedBefore = this.model.device.waitedMs;
    const sampled = await this.model.runner.run(plan);
    const { events } = this.scheduler.commit(plan, sampled);
    const hostMs = performance.now() - startMs - (this.model.device.waitedMs - waitedBefore);
    this.hostStepMs += HOST_TIME_SHARE * (hostMs - this.hostStepMs);
    return { events, failed: [] };
  }

  stats(): EngineStats {
    return { ...this.scheduler.stats, hostStepMs: this.hostStepMs };
  }

  async close(): Promise<void> {
    this.model.device.close();
  }
}

/** Greedy, without anything that edits logits. */
const WARM_UP_PARAMS: SamplingParams = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  seed: null,
  logitBias: [],
  bannedSequences: [],
  allowedTokenIds: null,
  maxTokens: 3,
  minTokens: 0,
  stopTokenIds: [],
  ignoreEos: true,
  numLogprobs: null,
};

/** Compiles what every request needs, and sees that the adapter computes: a prefill and a few decodes on a scheduler of its own. */
async function warmUp(model: LoadedModel, options: SchedulerOptions, onProgress: (progress: EngineProgress) => void) {
  onProgress({ text: 'compiling kernels', fraction: null });
  const scheduler = new Scheduler(options);
  const length = Math.min(24, options.maxNumSeqs, options.maxModelLen - 1);
  const promptTokenIds = Array.from({ length }, (_, i) => i % options.vocabSize);
  scheduler.add({ id: 'warm-up', promptTokenIds, params: WARM_UP_PARAMS, priority: 0 });
  const first = scheduler.plan();
  assertFinite(await model.runner.logits(first), model.device);
  scheduler.commit(first, await model.runner.run(first));
  while (scheduler.hasWork) {
    const plan = scheduler.plan();
    scheduler.commit(plan, await model.runner.run(plan));
  }
}
