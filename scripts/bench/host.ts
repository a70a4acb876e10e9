/**
 * What a step costs outside the GPU: planning, arrays, encoding and committing, with the whole engine in this process.
 *
 * The wait for the GPU is taken off by the device's own count of it. On a busy machine, or a software adapter whose work takes the same
 * cores, the thread also waits for its turn: the CPU time of the thread is then the figure to look at. Next: `src/engine/runner.ts`, `src/engine/scheduler.ts`.
 */
import { loadConfig, processSurroundings } from '../../src/config/load-config.ts';
import { StepBatch } from '../../src/engine/batch.ts';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { type LoadedModel, loadModel } from '../../src/engine/load-model.ts';
import type { StepPlan, StepResult } from '../../src/engine/plan.ts';
import { Scheduler } from '../../src/engine/scheduler.ts';
import { PLAIN_PARAMS } from './plain-params.ts';
import { threadCpuMs } from './step-driver.ts';
import { median, printTable, quantile, short } from './table.ts';

export interface HostOptions {
  readonly numSequences: number;
  readonly numSteps: number;
}

const WARM_UP_STEPS = 20;
/** Steps that record nothing, before: a server's code is compiled to the last tier long before anybody looks. */
const HEATING_STEPS = 3000;
const PROMPT_TOKENS = 8;
const PARTS = [
  'plan',
  'batch arrays',
  'prepare and record',
  'upload',
  'submit',
  'commit',
  'whole step',
  'CPU time of the thread',
] as const;
type Part = (typeof PARTS)[number];

/** Measures decode steps of the configured model and prints a table. Throws: EngineError, ConfigError. */
export async function benchHost({ numSequences, numSteps }: HostOptions): Promise<object> {
  const loaded = loadConfig({ ...processSurroundings(), args: [] });
  if (loaded.kind !== 'config') throw new Error('no configuration');
  const { config } = loaded;
  const model = await loadModel(config.model, config.engine, { onProgress: () => {}, onNotice: console.error });
  const { device, plan, spec } = model;
  const about = {
    model: config.servedModelNames[0],
    architecture: spec.architecture,
    layers: spec.layers.length,
    adapter: device.adapter.description || device.adapter.device,
    binding: device.binding,
    numSequences,
    environment: { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null },
  };
  console.log(`${about.model}: ${spec.architecture}, ${about.layers} layers, on ${about.adapter} (${about.binding})`);
  console.log(`${numSequences} sequences decode, ${numSteps} steps\n`);
  const times = await measure(model, Math.min(numSequences, plan.maxNumSeqs), numSteps);
  const parts = PARTS.map((part) => ({
    part,
    medianMs: median(times[part]),
    p99Ms: quantile(times[part], 0.99),
  }));
  printTable(
    ['host time per step', 'median ms', 'p99 ms'],
    parts.map(({ part, medianMs, p99Ms }) => [part, short(medianMs), short(p99Ms)]),
  );
  device.close();
  return { ...about, parts };
}

async function measure(model: LoadedModel, numSequences: number, numSteps: number): Promise<Record<Part, number[]>> {
  const { device, plan, runner } = model;
  const times = Object.fromEntries(PARTS.map((part) => [part, []])) as unknown as Record<Part, number[]>;
  const heating = new Load(model, numSequences);
  await device.collectKernels(async () => {
    for (let i = 0; i < HEATING_STEPS; i++) {
      heating.fill();
      const step = heating.scheduler.plan();
      const { sampled } = await runner.run(step);
      heating.commit(step, sampled);
    }
  });
  const load = new Load(model, numSequences);
  const calls = timedCalls(device);
  // Built a second time beside the runner's own, so that its part of the run is known.
  const batch = new StepBatch(plan.blockSize);
  for (let numMeasured = -WARM_UP_STEPS; numMeasured < numSteps; ) {
    load.fill();
    calls.uploadMs = calls.submitMs = 0;
    const waitedBefore = device.waitedMs;
    const cpuBefore = threadCpuMs();
    const startMs = performance.now();
    const step = load.scheduler.plan();
    const plannedMs = performance.now();
    const { sampled } = await runner.run(step);
    const ranMs = performance.now();
    load.commit(step, sampled);
    const endMs = performance.now();
    const cpuMs = threadCpuMs() - cpuBefore;
    const waitedMs = device.waitedMs - waitedBefore;
    // Steps that also take in new sequences are prefills, which cost by the token.
    if (step.numDecodes !== numSequences || step.entries.length !== numSequences) continue;
    const beforeBuildMs = performance.now();
    batch.build(step);
    const buildMs = performance.now() - beforeBuildMs;
    if (++numMeasured <= 0) continue;
    times.plan.push(plannedMs - startMs);
    times['batch arrays'].push(buildMs);
    times['prepare and record'].push(ranMs - plannedMs - waitedMs - calls.uploadMs - calls.submitMs - buildMs);
    times.upload.push(calls.uploadMs);
    times.submit.push(calls.submitMs);
    times.commit.push(endMs - ranMs);
    times['whole step'].push(endMs - startMs - waitedMs);
    times['CPU time of the thread'].push(cpuMs);
  }
  return times;
}

/** A scheduler that is kept full. */
class Load {
  readonly scheduler: Scheduler;
  private numAdded = 0;
  private numLive = 0;

  constructor(
    private readonly model: LoadedModel,
    private readonly numSequences: number,
  ) {
    const { numBlocks, blockSize, maxModelLen, maxNumSeqs, maxNumBatchedTokens } = model.plan;
    const { vocab, eosTokenIds } = model.spec;
    this.scheduler = new Scheduler({
      ...{ numBlocks, blockSize, maxModelLen, maxNumSeqs, maxNumBatchedTokens },
      ...{ enableChunkedPrefill: true, enablePrefixCaching: true },
      ...{ policy: 'fcfs', vocabSize: vocab, eosTokenIds, seed: 0 },
    });
  }

  fill(): void {
    const { plan, spec } = this.model;
    for (; this.numLive < this.numSequences; this.numLive++) {
      const promptTokenIds = Array.from({ length: PROMPT_TOKENS }, (_, i) => (this.numAdded * 7 + i) % spec.vocab);
      const params = { ...PLAIN_PARAMS, maxTokens: plan.maxModelLen - PROMPT_TOKENS };
      this.scheduler.add({ id: `bench-${this.numAdded++}`, promptTokenIds, params, priority: 0 });
    }
  }

  commit(step: StepPlan, sampled: StepResult['sampled']): void {
    this.numLive -= this.scheduler.commit(step, sampled).finished.length;
  }
}

/** Counts the time in the two calls in which the driver does work of its own. Mutates: the device's way to them. */
function timedCalls(device: GpuDevice): { uploadMs: number; submitMs: number } {
  const counts = { uploadMs: 0, submitMs: 0 };
  const write = device.write.bind(device);
  const submit = device.opened.submit.bind(device.opened);
  device.write = (...args) => {
    const startMs = performance.now();
    write(...args);
    counts.uploadMs += performance.now() - startMs;
  };
  device.opened.submit = (...args) => {
    const startMs = performance.now();
    submit(...args);
    counts.submitMs += performance.now() - startMs;
  };
  return counts;
}
