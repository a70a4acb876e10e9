/** After the warm-up, no request finds a kernel that is still to be compiled. */
import { describe, expect } from 'bun:test';
import type { LoadedModel } from '../../src/engine/load-model.ts';
import type { Scheduler } from '../../src/engine/scheduler.ts';
import { type ExtraSamplers, NEUTRAL_SAMPLING, type SamplingParams } from '../../src/engine/types.ts';
import { collectKernels, warmUp } from '../../src/engine/warm-up.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, loadTestModel, newScheduler, request } from '../helpers/model.ts';
import { Random } from '../helpers/random.ts';

const NUM_ROUNDS = 150;
const labels = (model: LoadedModel) => model.device.compiled.map((kernel) => kernel.label);

async function runAll(model: LoadedModel, scheduler: Scheduler): Promise<void> {
  while (scheduler.hasWork) {
    const plan = scheduler.plan();
    const { sampled, scored } = await model.runner.run(plan);
    scheduler.commit(plan, sampled, scored);
  }
}

function randomExtras(random: Random): ExtraSamplers | null {
  if (random.isLikely(0.5)) return null;
  return {
    typicalP: random.pick([1, 0.5]),
    topNSigma: random.pick([0, 1.5]),
    temperatureLast: random.isLikely(0.5),
    dynatempRange: random.pick([0, 0.5]),
    dynatempExponent: 1,
    xtcProbability: random.pick([0, 1]),
    xtcThreshold: 0.1,
    dry: random.pick([null, { multiplier: 1, base: 2, allowedLength: 1, lastN: -1, breakers: [] }]),
    mirostat: random.pick([null, null, { tau: 5, eta: 0.1 }]),
    repeatLastN: 64,
  };
}

function randomParams(random: Random): SamplingParams {
  return {
    ...NEUTRAL_SAMPLING,
    temperature: random.pick([0, 0.7, 1]),
    topK: random.pick([0, 0, 5, 100]),
    topP: random.pick([1, 1, 0.5]),
    minP: random.pick([0, 0, 0.2]),
    presencePenalty: random.pick([0, 1]),
    repetitionPenalty: random.pick([1, 1.1]),
    logitBias: random.pick([[], [[3, 5] as const]]),
    bannedSequences: random.pick([[], [[4]], [[4, 5]]]),
    allowedTokenIds: random.pick([null, null, [1, 2, 3]]),
    maxTokens: 1 + random.below(6),
    minTokens: random.below(2),
    ignoreEos: true,
    numLogprobs: random.pick([null, 0, 1, 20]),
    numPromptLogprobs: random.pick([null, null, null, 0, 5]),
    extras: randomExtras(random),
  };
}

/** Adds up to 40 requests of unlike lengths; most rounds are small ones. */
function addRandom(random: Random, scheduler: Scheduler, longest: number): void {
  const count = 1 + random.below(random.pick([1, 3, 8, 40]));
  for (let i = 0; i < count; i++) {
    const length = 1 + random.below(random.pick([2, 20, 70, longest - 8]));
    const tokens = Array.from({ length }, () => random.below(scheduler.options.vocabSize));
    scheduler.add(request(String(i), tokens, randomParams(random)));
  }
}

describe('after the warm-up', () => {
  for (const [name, software] of [
    ['tiny-llama', true],
    ['tiny-llama', false],
    ['tiny-qwen3', false],
    ['tiny-llama-biased', false],
    ['tiny-mixtral', false],
    ['tiny-qwen2-moe', true],
  ] as const) {
    gpuTest(`${NUM_ROUNDS} rounds of random requests need no other kernel: ${name}, software=${software}`, async () => {
      const model = await loadTestModel(fixtureFolder(name), {}, software);
      const { options } = newScheduler(model);
      await collectKernels(model, options);
      const before = labels(model);
      const random = new Random(7);
      await model.device.collectKernels(async () => {
        for (let round = 0; round < NUM_ROUNDS; round++) {
          const scheduler = newScheduler(model, { enablePrefixCaching: random.isLikely(0.5) });
          addRandom(random, scheduler, model.plan.maxModelLen);
          await runAll(model, scheduler);
        }
      });
      expect(labels(model).filter((label) => !before.includes(label))).toEqual([]);
      model.device.close();
    });
  }

  gpuTest('real requests make no kernel, and progress only grows', async () => {
    const model = await loadTestModel(fixtureFolder('tiny-llama'));
    const numCompiled = model.device.compiled.filter((kernel) => kernel.isCompiled).length;
    const progress = new Map<string, number[]>();
    await warmUp(model, newScheduler(model).options, (text, fraction) => {
      progress.set(text, [...(progress.get(text) ?? []), fraction]);
    });
    const { length } = model.device.compiled;
    expect([...progress.keys()]).toEqual([`compiling ${length - numCompiled} kernels`, 'running first steps']);
    for (const fractions of progress.values()) {
      expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
      expect(fractions.at(-1)).toBe(1);
    }
    const random = new Random(11);
    for (let round = 0; round < 5; round++) {
      const scheduler = newScheduler(model);
      addRandom(random, scheduler, model.plan.maxModelLen);
      await runAll(model, scheduler);
    }
    expect(model.device.compiled.length).toBe(length);
    expect(model.device.compiled.every((kernel) => kernel.isCompiled)).toBe(true);
    model.device.close();
  });
});
