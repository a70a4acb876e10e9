/**
 * The engine in one process: scheduler and runner behind the host's contract.
 *
 * Owns the counters and the choice of numbers that the front is told. Knows no sockets. Next: `step-pipeline.ts` (what a step is),
 * `scheduler.ts`, `runner.ts`, `host/engine-loop.ts` (who calls it).
 */

import type { CreateLocalEngine, LocalEngine, StepOutput } from './host/local-engine-contract.ts';
import type { LoadedModel } from './load-model.ts';
import { loadReadyModel } from './ready-model.ts';
import { Scheduler } from './scheduler.ts';
import { StepMeter } from './step-meter.ts';
import { StepPipeline } from './step-pipeline.ts';
import type { EngineInfo, EngineStats, GenerateRequest } from './types.ts';

/** Weight of the newest step in the average of the host's time. */
const HOST_TIME_SHARE = 0.05;
/** A GPU shall find the next step when it has done one. A software adapter computes on the cores that prepare it. */
const STEPS_IN_FLIGHT = { gpu: 2, software: 1 } as const;

/** Loads the model and warms it up. Throws: EngineError. */
export const createLocalEngine: CreateLocalEngine = async (init, onProgress) => {
  const { model, schedulerOptions } = await loadReadyModel(init.modelFolder, init.config, {
    onProgress: (text, fraction) => onProgress({ text, fraction }),
    onNotice: (message) => console.error(message),
  });
  const suited = model.device.adapter.isSoftware ? STEPS_IN_FLIGHT.software : STEPS_IN_FLIGHT.gpu;
  return new GpuEngine(model, new Scheduler(schedulerOptions), init.config.stepsInFlight ?? suited);
};

class GpuEngine implements LocalEngine {
  readonly info: EngineInfo;
  private readonly meter = new StepMeter();
  private readonly pipeline: StepPipeline;
  private hostStepMs = 0;

  constructor(
    private readonly model: LoadedModel,
    private readonly scheduler: Scheduler,
    depth: number,
  ) {
    this.pipeline = new StepPipeline(scheduler, model.runner, depth, (plan) =>
      this.meter.planned(plan, performance.now()),
    );
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
    return this.pipeline.hasWork;
  }

  submit(request: GenerateRequest): void {
    const nowMs = performance.now();
    this.scheduler.add(request, nowMs);
    this.meter.submitted(request.id, nowMs);
  }

  abort(requestId: string): void {
    this.scheduler.abort(requestId);
    this.meter.forget(requestId);
  }

  async step(): Promise<StepOutput> {
    const startMs = performance.now();
    const waitedBefore = this.model.device.waitedMs;
    const done = await this.pipeline.step();
    if (done === null) return { events: [], failed: [] };
    const hostMs = performance.now() - startMs - (this.model.device.waitedMs - waitedBefore);
    this.hostStepMs += HOST_TIME_SHARE * (hostMs - this.hostStepMs);
    return { events: this.meter.marked(done.events), failed: [] };
  }

  stats(): EngineStats {
    return { ...this.scheduler.stats, stepSizes: this.meter.sizes, hostStepMs: this.hostStepMs };
  }

  async close(): Promise<void> {
    this.model.device.close();
  }
}
