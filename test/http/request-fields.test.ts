/** What the fields of chat and text completions beyond the plain ones do, over a fake engine. */
import { describe, expect, test } from 'bun:test';
import type { GenerateRequest } from '../../src/engine/types.ts';
import type { Script } from '../helpers/fake-engine.ts';
import { echoes, eventsOf, idsOf, says, testApp, testModel } from '../helpers/test-app.ts';
import { testIds } from '../helpers/test-tokenizer.ts';

const messages = [{ role: 'user', content: 'hi' }];

type Json = Record<string, unknown>;
interface Choice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: Json | null;
  readonly finish_reason: string;
  readonly stop_reason: unknown;
  readonly prompt_logprobs: (Json | null)[];
}

function app(script: Script = says('hello world'), overrides: Parameters<typeof testApp>[1] = {}) {
  const made = testApp(script, overrides);
  const ask = async (path: string, body: object): Promise<Json> => {
    const response = await made.post(path, body);
    const answer = (await response.json()) as Json;
    if (response.status !== 200) throw new Error(JSON.stringify(answer));
    return answer;
  };
  return {
    ...made,
    chat: (body: object) => ask('/v1/chat/completions', { messages, ...body }),
    complete: (body: object) => ask('/v1/completions', { prompt: 'hi', ...body }),
    async stream(path: string, body: object): Promise<Json[]> {
      return eventsOf(await (await made.post(path, { ...body, stream: true })).text());
    },
  };
}

const choicesOf = (answer: Json): Choice[] => answer.choices as Choice[];
const promptText = (request: GenerateRequest | undefined): string =>
  testModel().tokenizer.decode([...(request?.promptTokenIds ?? [])], { skipSpecialTokens: false });

describe('best_of', () => {
  test('keeps the candidates with the highest sum of log probabilities, the best first', async () => {
    // Every token has the same log probability: shorter candidates are more probable.
    const texts = ['aaaa', 'b', 'ccc', 'dd'];
    let asked = 0;
    const { complete, engine } = app(() => idsOf(texts[asked++ % 4] ?? ''));
    const answer = await complete({ n: 2, best_of: 4, seed: 3, prompt: ['x', 'y'] });
    expect(choicesOf(answer).map(({ index, text, logprobs }) => [index, text, logprobs])).toEqual([
      [0, 'b', null],
      [1, 'dd', null],
      [2, 'b', null],
      [3, 'dd', null],
    ]);
    expect(engine.requests.map(({ params }) => [params.numLogprobs, params.seed?.[0]])).toEqual(
      [...[3, 4, 5, 6], ...[3, 4, 5, 6]].map((seed) => [0, seed]),
    );
  });

  test('with as many candidates as choices nothing is ranked', async () => {
    const { stream, engine } = app();
    const chunks = await stream('/v1/completions', { prompt: 'hi', n: 2, best_of: 2 });
    expect(chunks.length).toBeGreaterThan(2);
    expect(engine.requests.every(({ params }) => params.numLogprobs === null)).toBe(true);
  });
});

describe('beam search', () => {
  // The fake lists a token and the ids after it at -0.5, -1.5, ... : greedy would go on with the first id forever.
  const counting: Script = (request) => [[...request.promptTokenIds].at(-1) ?? 0];

  test('asks for one token of every beam and gives the best hypotheses', async () => {
    const { complete, engine } = app(counting);
    const body = { prompt: [97], use_beam_search: true, n: 2, max_tokens: 3, logprobs: 1, temperature: 0 };
    const answer = await complete(body);
    expect(choicesOf(answer).map(({ text, finish_reason }) => [text, finish_reason])).toEqual([
      ['aaa', 'length'],
      ['aab', 'length'],
    ]);
    expect(choicesOf(answer)[1]?.logprobs).toMatchObject({ token_logprobs: [-0.5, -0.5, -1.5] });
    expect(answer.usage).toEqual({ prompt_tokens: 1, completion_tokens: 6, total_tokens: 7 });
    expect(engine.requests.map(({ promptTokenIds }) => promptTokenIds.length)).toEqual([1, 2, 2, 3, 3]);
    for (const { params } of engine.requests) {
      expect(params).toMatchObject({ maxTokens: 1, numLogprobs: 4, ignoreEos: true, temperature: 0 });
    }
  });

  test('stop token ids end a hypothesis and are named; best_of widens the search', async () => {
    const { complete, engine } = app(counting);
    const answer = await complete({
      prompt: [97],
      use_beam_search: true,
      best_of: 3,
      max_tokens: 4,
      stop_token_ids: [98],
    });
    expect(choicesOf(answer)).toHaveLength(1);
    expect(choicesOf(answer)[0]).toMatchObject({ text: 'aaaa', finish_reason: 'length' });
    expect(engine.requests[0]?.params.numLogprobs).toBe(9);
    const short = { prompt: [97], use_beam_search: true, best_of: 3, max_tokens: 4, stop_token_ids: [97] };
    expect(choicesOf(await complete({ ...short, length_penalty: 0 }))[0]).toMatchObject({
      text: '',
      finish_reason: 'stop',
      stop_reason: 97,
    });
  });

  test('a prompt of its own for each search', async () => {
    const { complete } = app(counting);
    const body = { prompt: [[97], [98]], use_beam_search: true, n: 2, max_tokens: 2 };
    expect(choicesOf(await complete(body)).map(({ text }) => text)).toEqual(['aa', 'ab', 'bb', 'bc']);
  });

  test('a client that leaves ends the search', async () => {
    const { post, engine } = testApp(() => ['hold']);
    const leaving = new AbortController();
    const body = { prompt: [97], use_beam_search: true, n: 2 };
    const answer = post('/v1/completions', body, { signal: leaving.signal });
    await engine.held();
    leaving.abort();
    await engine.idle();
    expect(engine.aborted).toEqual([engine.requests[0]?.id ?? '']);
    const { choices } = (await (await answer).json()) as { choices: Choice[] };
    expect(choices.map((choice) => choice.finish_reason)).toEqual(['abort', 'abort']);
  });

  test('an engine that fails ends the search with an error', async () => {
    const { post, engine } = testApp(counting);
    engine.refuseFrom = 2;
    const response = await post('/v1/completions', { prompt: [97], use_beam_search: true, n: 2 });
    expect(response.status).toBe(503);
    await engine.idle();
  });
});

describe('echo and prompt_logprobs', () => {
  test('an echoed prompt comes first, with its log probabilities', async () => {
    const { complete, engine } = app();
    const answer = await complete({ prompt: 'abc', echo: true, logprobs: 1 });
    expect(choicesOf(answer)[0]).toMatchObject({
      text: 'abchello world',
      logprobs: {
        tokens: ['a', 'b', 'c', 'hello', ' world', '<|im_end|>'],
        token_logprobs: [null, -1, -2, -0.5, -0.5, -0.5],
        text_offset: [0, 1, 2, 3, 8, 14],
      },
    });
    expect(choicesOf(answer)[0]).not.toHaveProperty('prompt_logprobs');
    expect(engine.requests[0]?.params.numPromptLogprobs).toBe(1);
  });

  test('without logprobs an echo costs nothing', async () => {
    const { complete, engine } = app();
    expect(choicesOf(await complete({ prompt: [97, 98], echo: true, n: 2, seed: 1 }))[1]?.text).toBe('abhello world');
    expect(engine.requests[0]?.params.numPromptLogprobs).toBeNull();
  });

  test('max_tokens 0 scores the prompt and generates nothing', async () => {
    const { complete } = app();
    const answer = await complete({ prompt: 'abc', echo: true, logprobs: 0, max_tokens: 0 });
    expect(choicesOf(answer)[0]).toMatchObject({
      text: 'abc',
      logprobs: { tokens: ['a', 'b', 'c'], token_logprobs: [null, -1, -2] },
      finish_reason: 'length',
    });
    expect(answer.usage).toEqual({ prompt_tokens: 3, completion_tokens: 0, total_tokens: 3 });
  });

  test('a stream opens with the echo of each choice', async () => {
    const { stream } = app(says('a'));
    const chunks = await stream('/v1/completions', { prompt: 'xyz', echo: true, logprobs: 0, n: 2, temperature: 1 });
    const first = chunks.filter((chunk) => (choicesOf(chunk)[0]?.text ?? '') === 'xyz');
    expect(first).toHaveLength(2);
    for (const chunk of first) {
      expect(choicesOf(chunk)[0]?.logprobs).toMatchObject({ token_logprobs: [null, -1, -2], text_offset: [0, 1, 2] });
    }
  });

  test('a chat echoes the last message when the answer goes on with it', async () => {
    const { chat } = app(says(' world'));
    const continued = [...messages, { role: 'assistant', content: 'hello' }];
    const body = { messages: continued, echo: true, continue_final_message: true };
    expect(await chat(body)).toMatchObject({ choices: [{ message: { role: 'assistant', content: 'hello world' } }] });
    expect(await chat({ echo: true })).toMatchObject({ choices: [{ message: { content: ' world' } }] });
  });

  test('prompt_logprobs: one computation for all choices of a prompt', async () => {
    const { complete, chat, engine } = app();
    const answer = await complete({ prompt: 'ab', prompt_logprobs: 1, n: 2, seed: 1 });
    const wire = [
      null,
      {
        '0': { logprob: -0.25, rank: 1, decoded_token: '\0' },
        '98': { logprob: -1, rank: 2, decoded_token: 'b' },
      },
    ];
    for (const choice of choicesOf(answer)) expect(choice).toMatchObject({ prompt_logprobs: wire, logprobs: null });
    expect(engine.requests.map(({ params }) => params.numPromptLogprobs)).toEqual([1, null]);
    const whole = await chat({ prompt_logprobs: 0 });
    expect(whole.prompt_logprobs).toHaveLength(engine.requests[2]?.promptTokenIds.length ?? 0);
    expect((whole.choices as Json[])[0]).not.toHaveProperty('prompt_logprobs');
  });
});

describe('the prompt', () => {
  test('is cut to its last tokens, or its first', async () => {
    const { complete, engine } = app(says('a'));
    await complete({ prompt: 'abcdef', truncate_prompt_tokens: 2 });
    await complete({ prompt: 'abcdef', truncate_prompt_tokens: 2, truncation_side: 'right' });
    await complete({ prompt: [97, 98, 99], truncate_prompt_tokens: 2, echo: true });
    await complete({ prompt: 'x'.repeat(1000), truncate_prompt_tokens: -1, max_tokens: 56 });
    expect(engine.requests.slice(0, 3).map(promptText)).toEqual(['ef', 'ab', 'bc']);
    expect(engine.requests[3]?.promptTokenIds).toHaveLength(200);
    expect(engine.requests[3]?.params.maxTokens).toBe(56);
  });

  test('carries salt and priority to the engine', async () => {
    const { complete, engine } = app(says('a'), { settings: { schedulingPolicy: 'priority' } });
    await complete({ cache_salt: 'tenant', priority: 3 });
    expect(engine.requests[0]).toMatchObject({ cacheSalt: 'tenant', priority: 3 });
    await complete({});
    expect(engine.requests[1]).not.toHaveProperty('cacheSalt');
  });

  test('is rendered with documents, variables and their defaults', async () => {
    const template = '{{ documents[0].text }}|{{ mood }}|{{ tone }}';
    const model = testModel({ template });
    const settings = { defaultChatTemplateKwargs: { mood: 'calm', tone: 'dry' } };
    const { chat, engine } = app(says('a'), { model, settings });
    await chat({ documents: [{ text: 'D' }], chat_template_kwargs: { tone: 'warm' } });
    expect(promptText(engine.requests[0])).toBe('D|calm|warm');
  });

  test("a request's template only where it is trusted", async () => {
    const { chat, engine, post } = app(says('a'), { settings: { trustRequestChatTemplate: true } });
    await chat({ chat_template: 'T{{ messages[0].content }}' });
    expect(promptText(engine.requests[0])).toBe('Thi');
    const tokenized = await post('/tokenize', { messages, chat_template: 'abc' });
    expect(((await tokenized.json()) as Json).count).toBe(3);
    const broken = await post('/v1/chat/completions', { messages, chat_template: '{% if %}' });
    expect(broken.status).toBe(400);
  });
});

describe('the contents of messages', () => {
  const parts = [
    { type: 'text', text: 'a' },
    { type: 'text', text: 'b' },
  ];
  const loop = '{% for m in messages %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endfor %}';
  const either = `{% for m in messages %}{% if m.content is string %}({{ m.content }}){% else %}${'{% for p in m.content %}[{{ p.text }}]{% endfor %}'}{% endif %}{% endfor %}`;
  const plain = '{% for m in messages %}{{ m.content }};{% endfor %}';

  for (const [name, template, content, want] of [
    ['text alone: parts become lines', plain, parts, 'a\nb;'],
    ['parts alone: a text becomes a part', loop, 'x', '[x]'],
    ['parts alone', loop, parts, '[a][b]'],
    ['both: a text stays a text', either, 'x', '(x)'],
    ['both: parts stay parts', either, parts, '[a][b]'],
  ] as const) {
    test(`a template that takes ${name}`, async () => {
      const { chat, engine } = app(says('a'), { model: testModel({ template }) });
      await chat({ messages: [{ role: 'user', content }] });
      expect(promptText(engine.requests[0])).toBe(want);
    });
  }

  test('the setting goes before what the template looks like', async () => {
    for (const [format, want] of [
      ['string', '(a\nb)'],
      ['openai', '[a][b]'],
    ] as const) {
      const settings = { chatTemplateContentFormat: format };
      const { chat, engine } = app(says('a'), { model: testModel({ template: either }), settings });
      await chat({ messages: [{ role: 'user', content: parts }] });
      expect(promptText(engine.requests[0])).toBe(want);
    }
  });

  test('images and sound are refused by name', async () => {
    const { post } = testApp(says('a'));
    for (const type of ['image_url', 'input_audio', 'file']) {
      const content = [
        { type: 'text', text: 'what is this?' },
        { type, [type]: {} },
      ];
      const response = await post('/v1/chat/completions', { messages: [{ role: 'user', content }] });
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: { message: string; param: string } };
      expect(error.param).toBe('messages[0].content[1]');
      expect(error.message).toContain(type);
    }
  });
});

describe('what answers show', () => {
  test('tokens by their ids, for one request or for all', async () => {
    const named = { logprobs: { tokens: ['token_id:259', 'token_id:263', `token_id:${testIds.imEnd}`] } };
    const one = await app().complete({ logprobs: 0, return_tokens_as_token_ids: true });
    expect(one).toMatchObject({ choices: [{ text: 'hello world', ...named }] });
    const all = app(says('hello world'), { settings: { returnTokensAsTokenIds: true } });
    expect(await all.complete({ logprobs: 0 })).toMatchObject({ choices: [named] });
    expect(await all.complete({ logprobs: 0, return_tokens_as_token_ids: false })).toMatchObject({
      choices: [{ logprobs: { tokens: ['hello', ' world', '<|im_end|>'] } }],
    });
  });

  test('token ids of prompt and answer', async () => {
    const { complete, stream } = app();
    const ids = [...idsOf('hello world'), testIds.imEnd];
    expect(await complete({ return_token_ids: true })).toMatchObject({
      choices: [{ token_ids: ids, prompt_token_ids: idsOf('hi') }],
    });
    const chunks = await stream('/v1/chat/completions', { messages, return_token_ids: true });
    expect(chunks[0]?.prompt_token_ids).toEqual(expect.arrayContaining([testIds.imStart]));
    expect(chunks.flatMap((chunk) => (chunk.choices as { token_ids?: number[] }[])[0]?.token_ids ?? [])).toEqual(ids);
  });

  test('the usage in every chunk, when asked for or forced', async () => {
    const numbers = (chunks: Json[]) =>
      chunks.map((chunk) => (chunk.usage as { completion_tokens: number } | undefined)?.completion_tokens);
    const asked = { messages, stream_options: { include_usage: true, continuous_usage_stats: true } };
    const inEvery = numbers(await app().stream('/v1/chat/completions', asked));
    expect([inEvery[0], inEvery.at(-1), inEvery.includes(undefined)]).toEqual([1, 3, false]);
    const alone = { messages, stream_options: { continuous_usage_stats: true } };
    expect(numbers(await app().stream('/v1/chat/completions', alone)).every((count) => count === undefined)).toBe(true);
    const forced = app(says('hello world'), { settings: { enableForceIncludeUsage: true } });
    expect(numbers(await forced.stream('/v1/chat/completions', { messages }))).toEqual(inEvery);
  });

  test('usage details only where the server is set so', async () => {
    const settings = { enablePromptTokensDetails: true, enablePerRequestMetrics: true };
    const { usage } = (await app(says('hello world'), { settings }).chat({})) as { usage: Json };
    expect(usage.prompt_tokens_details).toEqual({ cached_tokens: 0 });
    expect(Object.keys(usage.timings as Json).sort()).toEqual([
      'decode_tokens_per_second',
      'prefill_tokens_per_second',
      'queue_ms',
      'time_to_first_token_ms',
      'total_ms',
    ]);
    expect(Object.keys((await app().chat({})).usage as Json)).toHaveLength(3);
  });

  test('a suffix needs a tokenizer that can fill in the middle', async () => {
    const { post } = testApp(echoes);
    const response = await post('/v1/completions', { prompt: 'a', suffix: 'b' });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: { param: string } }).error.param).toBe('suffix');
    const neutral = await post('/v1/completions', { prompt: 'a', suffix: '' });
    expect(neutral.status).toBe(200);
  });
});
