/** Every format of the KV cache against transformers with keys and values rounded the same way: how far logits move, what greedy says. */
import { expect } from 'bun:test';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EngineConfig } from '../../src/config/server-config.ts';
import { goldenLogits, readGolden } from '../helpers/goldens.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { generateAll, greedyParams, loadTestModel, promptLogits, request } from '../helpers/model.ts';

const folder = fileURLToPath(new URL('../../models/demo', import.meta.url));
const goldenPath = fileURLToPath(new URL('../fixtures/goldens/cache-formats.json', import.meta.url));
const { formats } = JSON.parse(readFileSync(goldenPath, 'utf8')) as {
  formats: { format: EngineConfig['kvCacheDtype']; rms: number; largest: number }[];
};

/** A step whose two best logits are closer than this many times the format's rms may go the other way. */
const TIE = 10;

for (const { format, rms, largest } of formats) {
  gpuTest(`${format} moves the logits no more than it does in transformers`, async () => {
    const golden = readGolden('demo');
    const model = await loadTestModel(folder, { kvCacheDtype: format, maxNumSeqs: 128 });
    const prompts = golden.prompts.map((prompt) => prompt.ids);
    for (const maxNumBatchedTokens of [128, 11]) {
      const got = await promptLogits(model, prompts, { maxNumBatchedTokens });
      let [squares, count, worst] = [0, 0, 0];
      for (const [i, prompt] of golden.prompts.entries()) {
        const rows = got[i]?.subarray((prompt.firstPosition ?? 0) * golden.vocab) ?? new Float32Array();
        goldenLogits(golden, prompt).forEach((value, at) => {
          const difference = Math.abs((rows[at] ?? Number.NaN) - value);
          squares += difference ** 2;
          count++;
          if (!(difference <= worst)) worst = difference;
        });
      }
      expect(Math.sqrt(squares / count)).toBeLessThan(1.2 * rms);
      expect(worst).toBeLessThan(1.2 * largest);
    }
    const requests = golden.prompts.map((prompt, i) =>
      request(String(i), prompt.ids, greedyParams(prompt.greedy.length)),
    );
    const { tokens } = await generateAll(model, requests);
    for (const [i, prompt] of golden.prompts.entries()) {
      const at = prompt.greedy.findIndex((token, step) => token !== tokens.get(String(i))?.[step]);
      expect(at < 0 ? 0 : (prompt.margins[at] ?? 0)).toBeLessThan(TIE * rms);
    }
    model.device.close();
  });
}

gpuTest('a quantised cache gives the same tokens in a batch, from cached blocks and after preemption', async () => {
  const golden = readGolden('demo');
  const model = await loadTestModel(folder, { kvCacheDtype: 'int8', blockSize: 8 });
  const requests = golden.prompts.map((prompt, i) => request(String(i), prompt.ids, greedyParams(16)));
  const alone = new Map<string, number[]>();
  for (const each of requests) {
    for (const [id, tokens] of (await generateAll(model, [each])).tokens) alone.set(id, tokens);
  }
  const twice = [...requests, ...requests.map((each) => ({ ...each, id: `${each.id} again` }))];
  const cached = await generateAll(model, twice, { enablePrefixCaching: true, maxNumSeqs: 5 });
  for (const [id, tokens] of cached.tokens) expect(tokens).toEqual(alone.get(id.replace(' again', '')) ?? []);
  const tight = await generateAll(model, requests, { numBlocks: 12, maxModelLen: 96 });
  expect(tight.preemptions).toBeGreaterThan(0);
  expect(tight.tokens).toEqual(alone);
  model.device.close();
});
