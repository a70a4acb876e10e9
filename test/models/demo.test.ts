/** The bundled model against Hugging Face transformers: logits of its prompts and greedy answers. */
import { fileURLToPath } from 'node:url';
import { goldenLogits, readGolden } from '../helpers/goldens.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { generateAll, greedyParams, loadTestModel, promptLogits, request } from '../helpers/model.ts';
import { expectClose } from '../helpers/tolerance.ts';

const folder = fileURLToPath(new URL('../../models/demo', import.meta.url));
/** Two best logits closer than this may change places with a cache of f16. */
const TIE = 5e-2;

gpuTest(
  'logits of the bundled model agree with transformers, whole and in chunks, on both sets of kernels',
  async () => {
    const golden = readGolden('demo');
    for (const software of [true, false]) {
      const model = await loadTestModel(folder, { maxNumSeqs: 128 }, software);
      for (const maxNumBatchedTokens of [128, 11]) {
        const prompts = golden.prompts.map((prompt) => prompt.ids);
        const got = await promptLogits(model, prompts, { maxNumBatchedTokens });
        for (const [i, prompt] of golden.prompts.entries()) {
          const first = prompt.firstPosition ?? 0;
          const rows = got[i]?.subarray(first * golden.vocab) ?? [];
          expectClose('modelLogits', rows, goldenLogits(golden, prompt), `software=${software}, prompt ${i}`, 10);
        }
      }
      model.device.close();
    }
  },
);

gpuTest('its greedy answers are those of transformers, all at once, with the cache it is served with', async () => {
  const golden = readGolden('demo');
  const model = await loadTestModel(folder, { kvCacheDtype: 'auto' });
  const requests = golden.prompts.map((prompt, i) =>
    request(String(i), prompt.ids, greedyParams(prompt.greedy.length)),
  );
  const { tokens } = await generateAll(model, requests);
  for (const [i, prompt] of golden.prompts.entries()) {
    const got = tokens.get(String(i)) ?? [];
    const at = prompt.greedy.findIndex((token, k) => token !== got[k]);
    if (at >= 0 && (prompt.margins[at] ?? 0) > TIE) {
      throw new Error(
        `prompt ${i}: token ${at} is ${got[at]}, expected ${prompt.greedy[at]} (margin ${prompt.margins[at]})`,
      );
    }
  }
  model.device.close();
});
