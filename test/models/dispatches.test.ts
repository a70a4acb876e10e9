/** How many dispatches a decode step takes: below a few thousand tokens a second they, not bytes, bound a small model. */
import { expect, spyOn } from 'bun:test';
import { Recorder } from '../../src/engine/gpu/recorder.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, greedyParams, loadTestModel, newScheduler, request } from '../helpers/model.ts';

const original = Recorder.prototype.submitForRead;

/** Dispatches of a step by the stem of their shader, for `numSequences` sequences that all decode. */
async function dispatchesOfDecode(numSequences: number, software: boolean, name = 'tiny-qwen3') {
  const model = await loadTestModel(fixtureFolder(name), {}, software);
  const scheduler = newScheduler(model);
  for (let i = 0; i < numSequences; i++) scheduler.add(request(String(i), [1, 2, 3], greedyParams(3)));
  const step = async () => {
    const plan = scheduler.plan();
    scheduler.commit(plan, (await model.runner.run(plan)).sampled);
  };
  await step();
  const seen: string[] = [];
  const counts: number[] = [];
  const dispatch = spyOn(Recorder.prototype, 'dispatch');
  const submit = spyOn(Recorder.prototype, 'submitForRead').mockImplementation(function (this: Recorder, ...args) {
    counts.push(this.numDispatches);
    return original.apply(this, args);
  });
  try {
    await step();
  } finally {
    for (const [kernel] of dispatch.mock.calls) seen.push(kernel.label.replace(/\(.*/, ''));
    dispatch.mockRestore();
    submit.mockRestore();
  }
  model.device.close();
  return { seen, numDispatches: counts.reduce((a, b) => a + b, 0), layers: model.spec.layers.length };
}

const perLayer = ({ seen, layers }: { seen: readonly string[]; layers: number }) =>
  seen.filter((stem) => !/^(embed|sample|logprobs)/.test(stem)).length / layers;

gpuTest(
  'a decode step takes 6 dispatches a layer, 7 with the reduce of attention, and the last norm and head',
  async () => {
    for (const numSequences of [1, 3]) {
      const step = await dispatchesOfDecode(numSequences, false);
      const { seen, numDispatches, layers } = step;
      expect(numDispatches).toBe(seen.length);
      expect(seen.filter((stem) => stem === 'matmul-gemv').length).toBe(4 * layers + 1);
      expect(seen.filter((stem) => stem === 'rms-norm').length).toBe(1);
      const withReduce = seen.filter((stem) => stem === 'attention-reduce').length / layers;
      expect(perLayer(step) - 2 / layers).toBe(6 + withReduce);
    }
  },
);

gpuTest('the kernels for software adapters norm on their own: 8 a layer, 9 with the reduce', async () => {
  const step = await dispatchesOfDecode(1, true);
  expect(step.seen.filter((stem) => stem === 'rms-norm').length).toBe(2 * step.layers + 1);
  const withReduce = step.seen.filter((stem) => stem === 'attention-reduce').length / step.layers;
  expect(perLayer(step) - 2 / step.layers).toBe(8 + withReduce);
});

gpuTest('a mixture of experts takes 8 dispatches a layer, 11 where its pairs are sorted', async () => {
  const few = await dispatchesOfDecode(1, false, 'tiny-mixtral');
  const withReduce = few.seen.filter((stem) => stem === 'attention-reduce').length / few.layers;
  expect(perLayer(few) - 2 / few.layers).toBe(8 + withReduce);
  const many = await dispatchesOfDecode(9, false, 'tiny-mixtral');
  const stems = many.seen.filter((stem) => stem.startsWith('moe-') || stem === 'rms-norm');
  // Sorted pairs are normed, aligned and combined by ops of their own; the last norm comes on top.
  expect(stems.length).toBe(6 * many.layers + 1);
});
