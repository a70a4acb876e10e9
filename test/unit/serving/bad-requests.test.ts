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
  [{ use_beam_search: true }, 'use_beam_search'],
  [{ prompt_logprobs: 0 }, 'prompt_logprobs'],
  [{ echo: true }, 'echo'],
  [{ priority: 1 }, 'priority'],
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
  [{ prompt: new Array<string>(600).fill('a'), n: 2 }, 'prompt'],
  [{ suffix: 'end' }, 'suffix'],
  [{ best_of: 2 }, 'best_of'],
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
      made_up_field: { deeply: ['nested'] },
    };
    expect(await chat({ ...neutral, tool_choice: 'none', modalities: ['text'], store: false })).toBeNull();
    expect(await completion({ ...neutral, best_of: 1, suffix: '' })).toBeNull();
    expect(await completion({ n: 3, best_of: 3 })).toBeNull();
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
