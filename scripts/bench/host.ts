/**
 * What a step costs outside the GPU: planning, arrays, encoding and committing, with the whole engine in this process.
 *
 * The wait for the GPU is taken off by the device's own count of it. On a software adapter the GPU's work competes for the same
 * cores, so that these figures are upper bounds there. Next: `src/engine/runner.ts`, `src/engine/scheduler.ts`.
 */
import { loadConfig, processSurroundings } from '../../src/config/load-config.ts';
import { StepBatch } from '../../src/engine/batch.ts';
import { type LoadedModel, loadModel } from '../../src/engine/load-model.ts';
import { Scheduler } from '../../src/engine/scheduler.ts';
import { PLAIN_PARAMS } from './plain-params.ts';
import { median, printTable, quantile, short } from './table.ts';

export interface HostOptions {
  readonly numSequences: number;
  readonly numSteps: number;
}

const WARM_UP_STEPS = 50;
const PROMPT_TOKENS = 8;
const PARTS = ['plan', 'batch arrays', 'run without waiting', 'commit', 'whole step'] as const;
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
  const { device, plan, spec, runner } = model;
  const times: Record<Part, number[]> = {
    plan: [],
    'batch arrays': [],
    'run without waiting': [],
    commit: [],
    'whole step': [],
  };
  const scheduler = new Scheduler({
    ...{
      numBlocks: plan.numBlocks,
      blockSize: plan.blockSize,
      maxModelLen: plan.maxModelLen,
      maxNumSeqs: plan.maxNumSeqs,
    },
    ...{ maxNumBatchedTokens: plan.maxNumBatchedTokens, enableChunkedPrefill: true, policy: 'fcfs' },
    ...{ vocabSize: spec.vocab, eosTokenIds: spec.eosTokenIds, seed: 0 },
  });
  // Built a second time beside the runner's own, so that its part of the run is known.
  const batch = new StepBatch(plan.blockSize);
  let numAdded = 0;
  let numLive = 0;
  for (let numMeasured = -WARM_UP_STEPS; numMeasured < numSteps; ) {
    for (; numLive < numSequences; numLive++) {
      const promptTokenIds = Array.from({ length: PROMPT_TOKENS }, (_, i) => (numAdded * 7 + i) % spec.vocab);
      const params = { ...PLAIN_PARAMS, maxTokens: plan.maxModelLen - PROMPT_TOKENS };
      scheduler.add({ id: `bench-${numAdded++}`, promptTokenIds, params, priority: 0 });
    }
    const startMs = performance.now();
    const step = scheduler.plan();
    const plannedMs = performance.now();
    batch.build(step);
    const builtMs = performance.now();
    const waitedBefore = device.waitedMs;
    const sampled = await runner.run(step);
    const ranMs = performance.now();
    const waitedMs = device.waitedMs - waitedBefore;
    const { finished } = scheduler.commit(step, sampled);
    const endMs = performance.now();
    numLive -= finished.length;
    // Steps that also take in new sequences are prefills, which cost by the token.
    if (step.numDecodes !== numSequences || step.entries.length !== numSequences) continue;
    if (++numMeasured <= 0) continue;
    times.plan.push(plannedMs - startMs);
    times['batch arrays'].push(builtMs - plannedMs);
    times['run without waiting'].push(ranMs - builtMs - waitedMs);
    times.commit.push(endMs - ranMs);
    times['whole step'].push(endMs - startMs - waitedMs - (builtMs - plannedMs));
  }
  return times;
}
