import { describe, expect, test } from 'bun:test';
import { ApiError } from '../../../src/serving/errors.ts';
import { chatCompletionWire } from '../../../src/serving/schema/chat-completions.ts';
import { completionWire } from '../../../src/serving/schema/completions.ts';
import { parseWire } from '../../../src/serving/schema/wire.ts';
import { chatToEngine, completionToEngine } from '../../../src/serving/to-engine.ts';
import { FakeEngine } from '../../helpers/fake-engine.ts';
import { echoes, testModel, testSettings } from '../../helpers/test-app.ts';
import { chatMlTemplate, testIds } from '../../helpers/test-tokenizer.ts';

const { info } = new FakeEngine({ script: echoes, eosTokenId: testIds.imEnd, vocabSize: testIds.vocabSize });
const context = { model: testModel(), settings: testSettings, info };

async function errorOf(promise: () => Promise<unknown>): Promise<ApiError | null> {
  try {
    await promise();
    return null;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
}

const hi = [{ role: 'user', content: 'hi' }];
const chat = (body: object) =>
  errorOf(async () => chatToEngine(parseWire(chatCompletionWire, { messages: hi, ...body }), context));
const completion = (body: object) =>
  errorOf(async () => completionToEngine(parseWire(completionWire, { prompt: 'hi', ...body }), context));

/** Fields of both endpoints: body, param of the error. */
const shared: readonly (readonly [object, string])[] = [
  [{ temperature: -0.1 }, 'temperature'],
  [{ temperature: 2.1 }, 'temperature'],
  [{ temperature: 'hot' }, 'temperature'],
  [{ top_p: 0 }, 'top_p'],
  [{ top_p: 1.01 }, 'top_p'],
  [{ top_k: -2 }, 'top_k'],
  [{ top_k: 1.5 }, 'top_k'],
  [{ min_p: -0.1 }, 'min_p'],
  [{ presence_penalty: 2.5 }, 'presence_penalty'],
  [{ frequency_penalty: -2.5 }, 'frequency_penalty'],
  [{ repetition_penalty: 0 }, 'repetition_penalty'],
  [{ n: 0 }, 'n'],
  [{ n: 2, temperature: 0 }, 'n'],
  [{ max_tokens: 0 }, 'max_tokens'],
  [{ max_tokens: 1.5 }, 'max_tokens'],
  [{ max_tokens: '5' }, 'max_tokens'],
  [{ max_tokens: 3, min_tokens: 4 }, 'min_tokens'],
  [{ min_tokens: -1 }, 'min_tokens'],
  [{ seed: 1.5 }, 'seed'],
  [{ stop: '' }, 'stop'],
  [{ stop: ['a', ''] }, 'stop[1]'],
  [{ stop: 5 }, 'stop'],
  [{ stop: '\ud83d' }, 'stop'],
  [{ stop_token_ids: [1, -1] }, 'stop_token_ids[1]'],
  [{ stop_token_ids: [999_999] }, 'stop_token_ids[0]'],
  [{ allowed_token_ids: [] }, 'allowed_token_ids'],
  [{ allowed_token_ids: [0, 268] }, 'allowed_token_ids[1]'],
  [{ bad_words: [''] }, 'bad_words[0]'],
  [{ logit_bias: { x: 1 } }, 'logit_bias'],
  [{ logit_bias: { '268': 1 } }, 'logit_bias'],
  [{ logit_bias: { '-1': 1 } }, 'logit_bias'],
  [{ logit_bias: { '5': 'much' } }, 'logit_bias.5'],
  [{ stream_options: { include_usage: true } }, 'stream_options'],
  [{ stream: true, stream_options: { include_usage: 1 } }, 'stream_options.include_usage'],
  [{ stream: 'yes' }, 'stream'],
  [{ model: 7 }, 'model'],
  [{ response_format: { type: 'json_object' } }, 'response_format'],
  [{ structured_outputs: { regex: 'a' } }, 'structured_outputs'],
  [{ guided_json: {} }, 'guided_json'],
  [{ use_beam_search: 'yes' }, 'use_beam_search'],
  [{ use_beam_search: true, stream: true }, 'stream'],
  [{ use_beam_search: true, n: 11 }, 'n'],
  [{ use_beam_search: true, best_of: 11 }, 'best_of'],
  [{ use_beam_search: true, presence_penalty: 0.5 }, 'presence_penalty'],
  [{ use_beam_search: true, repetition_penalty: 1.1 }, 'repetition_penalty'],
  [{ use_beam_search: true, logit_bias: { 5: 1 } }, 'logit_bias'],
  [{ use_beam_search: true, bad_words: ['a'] }, 'bad_words'],
  [{ use_beam_search: true, allowed_token_ids: [5] }, 'allowed_token_ids'],
  [{ use_beam_search: true, stop: 'a' }, 'stop'],
  [{ length_penalty: 2 }, 'length_penalty'],
  [{ length_penalty: 'long', use_beam_search: true }, 'length_penalty'],
  [{ length_penalty: 1000, use_beam_search: true }, 'length_penalty'],
  [{ early_stopping: true }, 'early_stopping'],
  [{ early_stopping: 'never' }, 'early_stopping'],
  [{ early_stopping: 'always', use_beam_search: true }, 'early_stopping'],
  [{ best_of: 0 }, 'best_of'],
  [{ n: 3, best_of: 2 }, 'best_of'],
  [{ best_of: 2, stream: true }, 'best_of'],
  [{ best_of: 2, temperature: 0 }, 'best_of'],
  [{ n: 20_000 }, 'n'],
  [{ prompt_logprobs: -2 }, 'prompt_logprobs'],
  [{ prompt_logprobs: -1 }, 'prompt_logprobs'],
  [{ prompt_logprobs: 21 }, 'prompt_logprobs'],
  [{ prompt_logprobs: 0, stream: true }, 'prompt_logprobs'],
  [{ echo: 'yes' }, 'echo'],
  [{ priority: 1 }, 'priority'],
  [{ priority: 0.5 }, 'priority'],
  [{ truncate_prompt_tokens: 0 }, 'truncate_prompt_tokens'],
  [{ truncate_prompt_tokens: -2 }, 'truncate_prompt_tokens'],
  [{ truncate_prompt_tokens: 257 }, 'truncate_prompt_tokens'],
  [{ truncate_prompt_tokens: 5, truncation_side: 'middle' }, 'truncation_side'],
  [{ cache_salt: '' }, 'cache_salt'],
  [{ cache_salt: 'a'.repeat(129) }, 'cache_salt'],
  [{ cache_salt: 'a/b' }, 'cache_salt'],
  [{ cache_salt: 'a\\b' }, 'cache_salt'],
  [{ cache_salt: 'a@b' }, 'cache_salt'],
  [{ cache_salt: 'a\0b' }, 'cache_salt'],
  [{ return_tokens_as_token_ids: 1 }, 'return_tokens_as_token_ids'],
  [{ return_token_ids: 'all' }, 'return_token_ids'],
  [{ spaces_between_special_tokens: 'no' }, 'spaces_between_special_tokens'],
  [{ logprob_token_ids: [1] }, 'logprob_token_ids'],
  [{ thinking_token_budget: 5 }, 'thinking_token_budget'],
];

const chatOnly: readonly (readonly [object, string])[] = [
  [{ messages: undefined }, 'messages'],
  [{ messages: [] }, 'messages'],
  [{ messages: 'hi' }, 'messages'],
  [{ messages: [{ content: 'hi' }] }, 'messages[0].role'],
  [{ messages: [{ role: 3, content: 'hi' }] }, 'messages[0].role'],
  [{ messages: [...hi, { role: 'user', content: 3 }] }, 'messages[1].content'],
  [{ messages: [{ role: 'user', content: [{ text: 'a' }] }] }, 'messages[0].content[0].type'],
  [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0]'],
  [
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: '' } }] }] },
    'messages[0].content[0]',
  ],
  [
    { messages: [{ role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{' } }] }] },
    'messages[0].tool_calls[0].function.arguments',
  ],
  [{ messages: [{ role: 'user', content: 'a'.repeat(300) }] }, 'messages'],
  [{ tools: [] }, 'tools'],
  [{ tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools'],
  [{ tool_choice: 'auto' }, 'tool_choice'],
  [{ functions: [] }, 'functions'],
  [{ modalities: ['text', 'audio'] }, 'modalities'],
  [{ audio: {} }, 'audio'],
  [{ chat_template: '{{ 1 }}' }, 'chat_template'],
  [{ chat_template: 5 }, 'chat_template'],
  [{ chat_template_kwargs: 'x' }, 'chat_template_kwargs'],
  [{ documents: 'x' }, 'documents'],
  [{ documents: ['x'] }, 'documents[0]'],
  [{ logprobs: 3 }, 'logprobs'],
  [{ top_logprobs: 3 }, 'top_logprobs'],
  [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
  [{ logprobs: true, top_logprobs: -1 }, 'top_logprobs'],
  [{ max_completion_tokens: 0 }, 'max_completion_tokens'],
  [{ add_generation_prompt: true, continue_final_message: true }, 'continue_final_message'],
];

const completionOnly: readonly (readonly [object, string])[] = [
  [{ prompt: undefined }, 'prompt'],
  [{ prompt: 5 }, 'prompt'],
  [{ prompt: [] }, 'prompt'],
  [{ prompt: '' }, 'prompt'],
  [{ prompt: ['a', 5] }, 'prompt[1]'],
  [{ prompt: [[1, 2], ['x']] }, 'prompt[1]'],
  [{ prompt: [1, 268] }, 'prompt[1]'],
  [{ prompt: [[1], []] }, 'prompt[1]'],
  [{ prompt: [1, -1] }, 'prompt[0]'],
  [{ prompt: 'a'.repeat(256) }, 'prompt'],
  [{ prompt: ['ok', 'a'.repeat(100_000)] }, 'prompt[1]'],
  [{ prompt: new Array<string>(600).fill('a'), n: 30 }, 'n'],
  [{ prompt: new Array<string>(17_000).fill('a') }, 'prompt'],
  [{ suffix: 'end' }, 'suffix'],
  [{ suffix: 5 }, 'suffix'],
  [{ echo: true, suffix: 'end' }, 'echo'],
  [{ max_tokens: -1, echo: true }, 'max_tokens'],
  [{ max_tokens: 0, echo: true, min_tokens: 1 }, 'min_tokens'],
  [{ logprobs: true }, 'logprobs'],
  [{ logprobs: 21 }, 'logprobs'],
  [{ prompt_embeds: 'x' }, 'prompt_embeds'],
];

const label = (body: object): string =>
  JSON.stringify(body, (_, value) => (value === undefined ? 'absent' : value)).slice(0, 90);

describe('every bad input is a 400 that names its field', () => {
  for (const [body, param] of [...shared, ...chatOnly]) {
    test(`chat ${label(body)}`, async () => {
      const error = await chat(body);
      expect([error?.status, error?.param]).toEqual([400, param]);
      expect(error?.body.error).toEqual({ message: error?.message ?? '', type: 'BadRequestError', param, code: 400 });
    });
  }
  for (const [body, param] of [...shared, ...completionOnly]) {
    test(`completion ${label(body)}`, async () => {
      const error = await completion(body);
      expect([error?.status, error?.param]).toEqual([400, param]);
    });
  }

  test('an unknown model is a 404', async () => {
    expect(await chat({ model: 'nope' })).toMatchObject({
      status: 404,
      param: 'model',
      message: 'The model `nope` does not exist.',
    });
    expect(await completion({ model: 'nope' })).toMatchObject({ status: 404, param: 'model' });
  });

  test('messages never echo the value', async () => {
    const error = await chat({ temperature: 'a secret value' });
    expect(error?.message).toBe('`temperature` must be number, not string.');
  });

  test('too long a prompt says how long', async () => {
    const error = await completion({ prompt: new Array<number>(256).fill(65) });
    expect(error?.message).toContain("Input length (256) exceeds model's maximum context length (256)");
  });
});

describe('what asks for nothing is accepted', () => {
  const nulls = [...shared, ...chatOnly, ...completionOnly]
    .flatMap(([body]) => Object.keys(body))
    .filter((field) => field !== 'messages' && field !== 'prompt');

  test('null for every optional field', async () => {
    const body = Object.fromEntries(nulls.map((field) => [field, null]));
    expect(await chat(body)).toBeNull();
    expect(await completion(body)).toBeNull();
  });

  test('neutral values and unknown fields', async () => {
    const neutral = {
      response_format: { type: 'text' },
      use_beam_search: false,
      echo: false,
      priority: 0,
      user: 'someone',
      metadata: { a: 'b' },
      length_penalty: 1,
      early_stopping: false,
      cache_salt: 'tenant-7',
      truncation_side: 'right',
      made_up_field: { deeply: ['nested'] },
    };
    expect(await chat({ ...neutral, tool_choice: 'none', modalities: ['text'], store: false })).toBeNull();
    expect(await completion({ ...neutral, best_of: 1, suffix: '' })).toBeNull();
    expect(await completion({ n: 3, best_of: 3 })).toBeNull();
  });

  test('what a server allows is accepted', async () => {
    const settings = { ...testSettings, schedulingPolicy: 'priority' as const, trustRequestChatTemplate: true };
    const body = { messages: hi, priority: -5, chat_template: '{{ messages[0].content }}!' };
    const plan = await chatToEngine(parseWire(chatCompletionWire, body), { ...context, settings });
    expect(plan.choices[0]?.request.priority).toBe(-5);
    const ids = [...(plan.choices[0]?.request.promptTokenIds ?? [])];
    expect(context.model.tokenizer.decode(ids, { skipSpecialTokens: false })).toBe('hi!');
  });

  test('a server may allow fewer sequences', async () => {
    const settings = { ...testSettings, maxNSequences: 4 };
    const ask = (body: object) =>
      errorOf(async () =>
        completionToEngine(parseWire(completionWire, { prompt: 'hi', ...body }), { ...context, settings }),
      );
    expect(await ask({ n: 4 })).toBeNull();
    expect((await ask({ n: 5 }))?.param).toBe('n');
    expect((await ask({ n: 1, best_of: 5 }))?.status).toBe(400);
  });

  test('a conversation with tool calls and other roles', async () => {
    const messages = [
      {
        role: 'developer',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }],
      },
      { role: 'tool', content: 'sunny', tool_call_id: '1' },
    ];
    expect(await chat({ messages })).toBeNull();
  });
});

test('a template of one conversation shows what it was given', async () => {
  const template =
    '{% for m in messages %}{{ m.role }}={{ m.content }};{% for c in m.tool_calls or [] %}{{ c.function.arguments.x }}{% endfor %}{% endfor %}';
  const model = testModel({ template });
  const body = parseWire(chatCompletionWire, {
    messages: [
      {
        role: 'developer',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      { role: 'assistant', content: 'c', tool_calls: [{ function: { name: 'f', arguments: '{"x":7}' } }] },
    ],
  });
  const plan = await chatToEngine(body, { ...context, model });
  const ids = [...(plan.choices[0]?.request.promptTokenIds ?? [])];
  expect(model.tokenizer.decode(ids, { skipSpecialTokens: false })).toBe('system=a\nb;assistant=c;7');
  expect(chatMlTemplate).not.toContain('developer');
});
