import { expect, test } from 'bun:test';
import { generationDefaults, loadGenerationDefaults } from '../../../src/serving/generation-defaults.ts';
import { writeTestModel } from '../../helpers/test-tokenizer.ts';

const none = generationDefaults({});
const own = () => writeTestModel({ 'generation_config.json': { temperature: 0.2, top_k: 7, max_new_tokens: 9 } });

test("auto is the model's own file, vllm none, anything else a folder", async () => {
  const folder = await own();
  const other = await writeTestModel({ 'generation_config.json': { top_p: 0.5 } });
  const ofModel = { ...none, temperature: 0.2, topK: 7, maxNewTokens: 9 };
  expect(await loadGenerationDefaults(folder)).toEqual(ofModel);
  expect(await loadGenerationDefaults(folder, { generationConfig: 'auto' })).toEqual(ofModel);
  expect(await loadGenerationDefaults(folder, { generationConfig: 'vllm' })).toEqual(none);
  expect(await loadGenerationDefaults(folder, { generationConfig: other })).toEqual({ ...none, topP: 0.5 });
  await expect(loadGenerationDefaults(folder, { generationConfig: '/nowhere' })).rejects.toThrow('GENERATION_CONFIG');
});

test("the owner's values go before the file's, and wrong ones are refused", async () => {
  const folder = await own();
  const overrideGenerationConfig = { temperature: 0.9, min_p: 0.1, unknown: 'kept out' };
  expect(await loadGenerationDefaults(folder, { overrideGenerationConfig })).toEqual({
    ...none,
    temperature: 0.9,
    topK: 7,
    minP: 0.1,
    maxNewTokens: 9,
  });
  const only = await loadGenerationDefaults(folder, { generationConfig: 'vllm', overrideGenerationConfig });
  expect(only).toEqual({ ...none, temperature: 0.9, minP: 0.1 });
  const wrong = loadGenerationDefaults(folder, { overrideGenerationConfig: { top_p: 2 } });
  await expect(wrong).rejects.toThrow('OVERRIDE_GENERATION_CONFIG: top_p cannot be 2');
});

test("a file's values out of range count as absent", () => {
  expect(generationDefaults({ temperature: -1, top_p: 'x', top_k: -1, repetition_penalty: 1.2 })).toEqual({
    ...none,
    topK: -1,
    repetitionPenalty: 1.2,
  });
});
