/** Shared prefixes on the GPU: what is found in the cache gives the tokens that computing it gives. */
import { expect } from 'bun:test';
import { readGolden } from '../helpers/goldens.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, greedyParams, loadTestModel, newScheduler, request } from '../helpers/model.ts';

gpuTest('a prompt that is cached, wholly or in part, goes on as transformers does', async () => {
  const golden = readGolden('tiny-llama');
  const model = await loadTestModel(fixtureFolder('tiny-llama'), { blockSize: 8 });
  const scheduler = newScheduler(model, { enablePrefixCaching: true });
  const longest = golden.prompts.reduce((a, b) => (a.length > b.length ? a : b));
  const numTokens = longest.greedy.length;
  // The prompt alone; again; twice at once; and with its own answer as the next turn's beginning.
  const half = Math.floor(numTokens / 2);
  const continued = [...longest.ids, ...longest.greedy.slice(0, half)];
  const rounds = [[longest.ids], [longest.ids], [longest.ids, longest.ids], [continued]];
  for (const [round, prompts] of rounds.entries()) {
    const got = prompts.map(() => [] as number[]);
    for (const [i, ids] of prompts.entries()) {
      const maxTokens = numTokens - (ids.length - longest.ids.length);
      scheduler.add(request(String(i), ids, greedyParams(maxTokens)));
    }
    while (scheduler.hasWork) {
      const plan = scheduler.plan();
      const { events } = scheduler.commit(plan, (await model.runner.run(plan)).sampled);
      for (const { requestId, event } of events) got[Number(requestId)]?.push(event.tokenId);
      scheduler.assertInvariants();
    }
    const want = longest.greedy.slice(round === 3 ? half : 0);
    for (const tokens of got) expect(tokens).toEqual([...want]);
  }
  const { prefixHitTokens, numFreeBlocks, numBlocks } = scheduler.stats;
  expect(prefixHitTokens).toBeGreaterThanOrEqual(3 * 40 + 48);
  expect(numFreeBlocks).toBe(numBlocks);
  model.device.close();
});
