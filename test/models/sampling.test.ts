/** Every sampler through the whole engine: the same tokens alone, beside others, and after preemption. */
import { expect } from 'bun:test';
import { readGolden } from '../helpers/goldens.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, generateAll, greedyParams, loadTestModel, request } from '../helpers/model.ts';
import { extras } from '../helpers/sampling-extras.ts';

gpuTest('further samplers give the same tokens alone, in a batch and when preempted', async () => {
  const golden = readGolden('tiny-llama');
  const model = await loadTestModel(fixtureFolder('tiny-llama'), { blockSize: 8 });
  const ids = [...(golden.prompts[0]?.ids ?? [])];
  const dry = { multiplier: 3, base: 1.5, allowedLength: 1, lastN: -1, breakers: [] };
  const changes = [
    extras({ mirostat: { tau: 3, eta: 0.3 } }),
    extras({ typicalP: 0.6, topNSigma: 2, dynatempRange: 0.6 }),
    { topK: 20, ...extras({ xtcProbability: 0.5, xtcThreshold: 0.05, dry }) },
    { repetitionPenalty: 1.3, topP: 0.9, ...extras({ temperatureLast: true, repeatLastN: 8 }) },
    extras({ mirostat: { tau: 1, eta: 0.5 } }),
  ];
  const requests = changes.map((params, i) =>
    request(String(i), ids, greedyParams(24, { temperature: 1.1, seed: [i, 4], ...params })),
  );
  const together = await generateAll(model, requests);
  expect(together.preemptions).toBe(0);
  for (const each of requests) {
    expect((await generateAll(model, [each])).tokens.get(each.id)).toEqual(together.tokens.get(each.id) ?? []);
  }
  const blocksOfOne = Math.ceil((ids.length + 24) / 8);
  const cramped = await generateAll(model, requests, { maxModelLen: 8 * blocksOfOne, numBlocks: 2 * blocksOfOne + 1 });
  expect(cramped.preemptions).toBeGreaterThan(0);
  expect(cramped.tokens).toEqual(together.tokens);
  expect(new Set([...together.tokens.values()].map((tokens) => tokens.join())).size).toBe(requests.length);
  model.device.close();
});
