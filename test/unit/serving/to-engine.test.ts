import { describe, expect, test } from 'bun:test';
import { generationDefaults, loadGenerationDefaults } from '../../../src/serving/generation-defaults.ts';
import { choiceSeed } from '../../../src/serving/sampling.ts';
import { chatCompletionWire } from '../../../src/serving/schema/chat-completions.ts';
import { completionWire } from '../../../src/serving/schema/completions.ts';
import { parseWire } from '../../../src/serving/schema/wire.ts';
import { loadServedModel } from '../../../src/serving/served-model.ts';
import { chatToEngine, completionToEngine } from '../../../src/serving/to-engine.ts';
import { FakeEngine } from '../../helpers/fake-engine.ts';
import { echoes, idsOf, testModel, testSettings } from '../../helpers/test-app.ts';
import { testIds, writeTestModel } from '../../helpers/test-tokenizer.ts';

const { info } = new FakeEngine({ script: echoes, eosTokenId: testIds.imEnd, vocabSize: testIds.vocabSize });
const model = testModel();
const context = { model, settings: testSettings, info };
const chat = (body: object, over: object = {}) =>
  chatToEngine(parseWire(chatCompletionWire, { messages: [{ role: 'user', content: 'hi' }], ...body }), {
    ...context,
    ...over,
  });
const completion = (body: object, over: object = {}) =>
  completionToEngine(parseWire(completionWire, { prompt: 'hi', ...body }), { ...context, ...over });

describe('wire -> engine', () => {
  test('chat: template, rest of the context, the documented temperature', async () => {
    const plan = await chat({});
    const [choice] = plan.choices;
    const ids = [...(choice?.request.promptTokenIds ?? [])];
    expect(model.tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(
      '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n',
    );
    expect(choice?.request.params).toEqual({
      temperature: 0.7,
      topK: 0,
      topP: 1,
      minP: 0,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      seed: null,
      logitBias: [],
      bannedSequences: [],
      allowedTokenIds: null,
      maxTokens: 256 - ids.length,
      minTokens: 0,
      stopTokenIds: [],
      ignoreEos: false,
      numLogprobs: null,
      numPromptLogprobs: null,
      extras: null,
    });
    expect(plan.promptTokens).toBe(ids.length);
  });

  test('completions: 16 tokens at temperature 1, ids used as they are', async () => {
    const plan = await completion({ prompt: [1, 2, 3] });
    expect(plan.choices[0]?.request.promptTokenIds).toEqual([1, 2, 3]);
    expect(plan.choices[0]?.request.params).toMatchObject({ temperature: 1, maxTokens: 16 });
  });

  test('the order of defaults: request, checkpoint, documented', async () => {
    const defaults = generationDefaults({
      temperature: 0.3,
      top_p: 0.9,
      top_k: 40,
      repetition_penalty: 1.1,
      max_new_tokens: 7,
    });
    const over = { model: { ...model, defaults } };
    expect((await chat({}, over)).choices[0]?.request.params).toMatchObject({
      temperature: 0.3,
      topP: 0.9,
      topK: 40,
      repetitionPenalty: 1.1,
      maxTokens: 7,
    });
    expect((await chat({ temperature: 1.5, top_k: -1, max_tokens: 9 }, over)).choices[0]?.request.params).toMatchObject(
      {
        temperature: 1.5,
        topK: 0,
        maxTokens: 9,
      },
    );
    expect((await completion({}, over)).choices[0]?.request.params).toMatchObject({ temperature: 0.3, maxTokens: 16 });
  });

  test('greedy turns truncation off, tiny temperatures are raised', async () => {
    const params = async (body: object) => (await chat(body)).choices[0]?.request.params;
    expect(await params({ temperature: 0, top_p: 0.5, top_k: 5, min_p: 0.1 })).toMatchObject({
      temperature: 0,
      topP: 1,
      topK: 0,
      minP: 0,
    });
    expect(await params({ temperature: 0.001 })).toMatchObject({ temperature: 0.01 });
  });

  test('max_completion_tokens wins, and both are clipped to the room left', async () => {
    expect((await chat({ max_tokens: 5, max_completion_tokens: 6 })).choices[0]?.request.params.maxTokens).toBe(6);
    const plan = await completion({ prompt: new Array<number>(250).fill(65), max_tokens: 100, min_tokens: 50 });
    expect(plan.choices[0]?.request.params).toMatchObject({ maxTokens: 6, minTokens: 6 });
  });

  test('choices are numbered prompt by prompt and have their own ids and seeds', async () => {
    const plan = await completion({ prompt: ['a', 'b'], n: 2, seed: 5 });
    expect(plan.choices.map((choice) => choice.index)).toEqual([0, 1, 2, 3]);
    expect(plan.choices.map((choice) => choice.request.params.seed)).toEqual([
      [5, 0],
      [6, 0],
      [5, 0],
      [6, 0],
    ]);
    expect(new Set(plan.choices.map((choice) => choice.request.id)).size).toBe(4);
    expect(plan.promptTokens).toBe(2);
  });

  test('seeds are 64-bit words', () => {
    expect(choiceSeed(null, 0)).toBeNull();
    expect(choiceSeed(-1, 1)).toBeNull();
    expect(choiceSeed(-2, 0)).toEqual([0xffff_fffe, 0xffff_ffff]);
    expect(choiceSeed(2 ** 32 - 1, 1)).toEqual([0, 1]);
  });

  test('biases are clamped, bad words banned with and without a space', async () => {
    const params = (await chat({ logit_bias: { '5': 500, '6': -1 }, bad_words: ['world'] })).choices[0]?.request.params;
    expect(params?.logitBias).toEqual([
      [5, 100],
      [6, -1],
    ]);
    expect(params?.bannedSequences).toEqual([idsOf('world'), idsOf(' world')]);
  });

  test('logprobs and stops reach the decoder', async () => {
    const plan = await chat({
      logprobs: true,
      top_logprobs: 3,
      stop: 'x',
      stop_token_ids: [7],
      include_stop_str_in_output: true,
    });
    expect(plan.choices[0]?.request.params).toMatchObject({ numLogprobs: 3, stopTokenIds: [7] });
    expect(plan.choices[0]?.decoding).toMatchObject({
      stopStrings: ['x'],
      includeStop: true,
      numLogprobs: 3,
      skipSpecialTokens: true,
    });
    expect((await chat({ logprobs: true })).choices[0]?.request.params.numLogprobs).toBe(0);
  });

  test('only special tokens before the answer make it the start of the text', async () => {
    const prompt = [testIds.endOfText];
    expect((await completion({ prompt })).choices[0]?.decoding.atTextStart).toBe(true);
    expect((await completion({ prompt, skip_special_tokens: false })).choices[0]?.decoding.atTextStart).toBe(false);
    expect((await completion({ prompt: 'a' })).choices[0]?.decoding.atTextStart).toBe(false);
  });

  test('without a template chat is refused and completions work', async () => {
    const over = { model: testModel({ template: null }) };
    await expect(chat({}, over)).rejects.toThrow('no chat template');
    expect((await completion({}, over)).choices).toHaveLength(1);
  });
});

describe('the checkpoint', () => {
  test('is loaded from a folder', async () => {
    const folder = await writeTestModel({
      'generation_config.json': { temperature: 0.2, top_k: null, top_p: 7, eos_token_id: 2 },
    });
    const loaded = await loadServedModel(folder, null);
    expect(loaded.defaults).toMatchObject({ temperature: 0.2, topK: null, topP: null });
    expect(loaded.chatTemplate.isPresent).toBe(true);
    const plan = await chat({}, { model: loaded });
    expect(plan.choices[0]?.request.params.temperature).toBe(0.2);
    await loaded.encoder.close();
  });

  test('a missing generation_config.json means no defaults', async () => {
    expect((await loadGenerationDefaults('/nonexistent')).temperature).toBeNull();
  });
});
