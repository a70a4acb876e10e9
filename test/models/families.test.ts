/** Every family against Hugging Face transformers: logits of all positions and greedy tokens, however the work is cut. */
import { describe } from 'bun:test';
import { goldenLogits, readGolden } from '../helpers/goldens.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, generateAll, greedyParams, loadTestModel, promptLogits, request } from '../helpers/model.ts';
import { expectClose } from '../helpers/tolerance.ts';

const MODELS = [
  ...['tiny-llama', 'tiny-llama-biased', 'tiny-mistral', 'tiny-qwen2', 'tiny-qwen3'],
  ...['tiny-mixtral', 'tiny-qwen2-moe', 'tiny-qwen3-moe', 'tiny-olmoe'],
];

/** Ways to cut the same work: [name, tokens per step]. The whole prompts together, odd chunks, one by one. */
const CUTS: [string, number][] = [
  ['whole and mixed', 64],
  ['in chunks of 7', 7],
  ['one by one', 1],
];

for (const name of MODELS) {
  describe(name, () => {
    gpuTest('logits of every position agree with transformers, whole, chunked and one by one', async () => {
      const golden = readGolden(name);
      const model = await loadTestModel(fixtureFolder(name), {}, false);
      for (const [cut, maxNumBatchedTokens] of CUTS) {
        const got = await promptLogits(
          model,
          golden.prompts.map((prompt) => prompt.ids),
          { maxNumBatchedTokens },
        );
        golden.prompts.forEach((prompt, i) => {
          expectClose('modelLogits', got[i] ?? [], goldenLogits(golden, prompt), `${cut}, prompt ${i}`);
        });
      }
      model.device.close();
    });

    gpuTest('greedy tokens are the same alone, in a batch of 32, in chunks and after preemption', async () => {
      const golden = readGolden(name);
      const model = await loadTestModel(fixtureFolder(name));
      const numTokens = golden.prompts[0]?.greedy.length ?? 0;
      const cases = Array.from(
        { length: 32 },
        (_, i) => golden.prompts[i % golden.prompts.length] as (typeof golden.prompts)[0],
      );
      const requests = cases.map((prompt, i) => request(String(i), prompt.ids, greedyParams(numTokens)));
      const check = (what: string, tokens: Map<string, number[]>) => {
        for (const [id, got] of tokens)
          assertGreedy(`${what}, request ${id}`, got, cases[Number(id)] as (typeof cases)[0]);
      };
      for (let i = 0; i < golden.prompts.length; i++) {
        check('alone', (await generateAll(model, requests.slice(i, i + 1))).tokens);
      }
      check('batch of 32', (await generateAll(model, requests)).tokens);
      check('chunks of 5', (await generateAll(model, requests.slice(0, 6), { maxNumBatchedTokens: 5 })).tokens);
      const tight = await generateAll(model, requests.slice(0, 6), { numBlocks: 9, maxModelLen: 9 * 16 });
      if (tight.preemptions === 0) throw new Error('the tight cache caused no preemption');
      check('after preemption', tight.tokens);
      model.device.close();
    });

    gpuTest('a cache of f16 moves the logits no more than it does in transformers', async () => {
      const golden = readGolden(name);
      const model = await loadTestModel(fixtureFolder(name), { kvCacheDtype: 'float16', blockSize: 8 });
      const got = await promptLogits(
        model,
        golden.prompts.map((prompt) => prompt.ids),
      );
      golden.prompts.forEach((prompt, i) => {
        const want = goldenLogits(golden, prompt);
        const limit = 2 * golden.halfCacheDifference + 1e-3;
        want.forEach((value, at) => {
          const difference = Math.abs((got[i]?.[at] ?? Number.NaN) - value);
          if (!(difference <= limit))
            throw new Error(`prompt ${i}: logit ${at} is off by ${difference}, limit ${limit}`);
        });
      });
      model.device.close();
    });
  });
}

/** Two best logits closer than this may change places between orders of summation. */
const TIE = 1e-3;

/** Throws: when tokens differ other than from a step on where the two best logits nearly tie. */
function assertGreedy(
  what: string,
  got: readonly number[],
  golden: { greedy: readonly number[]; margins: readonly number[] },
): void {
  const at = golden.greedy.findIndex((token, i) => token !== got[i]);
  if (at < 0 && got.length === golden.greedy.length) return;
  if (at >= 0 && (golden.margins[at] ?? 0) < TIE) return;
  throw new Error(`${what}: token ${at} is ${got[at]}, expected ${golden.greedy[at]} (margin ${golden.margins[at]})`);
}
