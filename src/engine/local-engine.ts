/**
 * The engine in one process: scheduler and runner behind the host's contract. One step is plan -> run -> commit.
 *
 * Owns the counters and the choice of numbers that the front is told. Knows no sockets. Next: `scheduler.ts`, `runner.ts`,
 * `host/engine-loop.ts` (who calls it).
 */
import type { CreateLocalEngine, LocalEngine, StepOutput } from './host/local-engine-contract.ts';
import { type LoadedModel, loadModel } from './load-model.ts';
import { Scheduler } from './scheduler.ts';
import type { SchedulerOptions } from './scheduler-options.ts';
import { StepMeter } from './step-meter.ts';
import type { EngineInfo, EngineStats, GenerateRequest } from './types.ts';
import { warmUp } from './warm-up.ts';

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
  await warmUp(model, options, (fraction) => onProgress({ text: 'compiling kernels', fraction }));
  return new GpuEngine(model, new Scheduler(options));
};

class GpuEngine implements LocalEngine {
  readonly info: EngineInfo;
  private readonly meter = new StepMeter();
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
    this.meter.submitted(request.id, performance.now());
  }

  abort(requestId: string): void {
    this.scheduler.abort(requestId);
    this.meter.forget(requestId);
  }

  async step(): Promise<StepOutput> {
    const startMs = performance.now();
    const plan = this.scheduler.plan();
    if (plan.entries.length === 0) return { events: [], failed: [] };
    this.meter.planned(plan, startMs);
    const waitedBefore = this.model.device.waitedMs;
    const { sampled, scored } = await this.model.runner.run(plan);
    const { events } = this.scheduler.commit(plan, sampled, scored);
    const hostMs = performance.now() - startMs - (this.model.device.waitedMs - waitedBefore);
    this.hostStepMs += HOST_TIME_SHARE * (hostMs - this.hostStepMs);
    return { events: this.meter.marked(events), failed: [] };
  }

  stats(): EngineStats {
    return { ...this.scheduler.stats, stepSizes: this.meter.sizes, hostStepMs: this.hostStepMs };
  }

  async close(): Promise<void> {
    this.model.device.close();
  }
}
