import { describe, expect, test } from 'bun:test';
import { EngineError } from '../../src/engine/types.ts';
import { echoes, idsOf, says, testApp, testModel } from '../helpers/test-app.ts';
import { testIds } from '../helpers/test-tokenizer.ts';

interface ErrorJson {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: number;
  };
}

const chatBody = { model: 'test-model', messages: [{ role: 'user', content: 'hi' }] };

describe('chat completions', () => {
  test('a whole answer', async () => {
    const { post, engine } = testApp(says('hello world'));
    const response = await post('/v1/chat/completions', chatBody);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    const answer = (await response.json()) as Record<string, unknown>;
    expect(answer).toMatchObject({
      object: 'chat.completion',
      model: 'test-model',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'hello world', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
    });
    const prompt = engine.requests[0]?.promptTokenIds.length ?? 0;
    expect(answer.usage).toEqual({ prompt_tokens: prompt, completion_tokens: 3, total_tokens: prompt + 3 });
    expect(answer.id).toMatch(/^chatcmpl-[0-9a-f-]{36}$/);
  });

  test('the alias of the model, and the client’s request id', async () => {
    const { post } = testApp(says('a'));
    const response = await post(
      '/v1/chat/completions',
      { ...chatBody, model: 'alias/of-it' },
      { headers: { 'x-request-id': 'mine-7' } },
    );
    expect(response.headers.get('x-request-id')).toBe('mine-7');
    expect(((await response.json()) as { id: string; model: string }).id).toBe('chatcmpl-mine-7');
  });

  test('n choices, stop strings, logprobs', async () => {
    const { post, engine } = testApp(says('one two three'));
    const response = await post('/v1/chat/completions', {
      ...chatBody,
      n: 2,
      stop: ' two',
      logprobs: true,
      top_logprobs: 2,
      seed: 1,
    });
    const answer = (await response.json()) as { choices: { logprobs: { content: unknown[] } }[] };
    expect(answer.choices).toMatchObject([
      { index: 0, message: { content: 'one' }, finish_reason: 'stop', stop_reason: ' two' },
      { index: 1, message: { content: 'one' }, finish_reason: 'stop', stop_reason: ' two' },
    ]);
    expect(answer.choices[0]?.logprobs.content[0]).toEqual({
      token: 'o',
      logprob: -0.5,
      bytes: [111],
      top_logprobs: [
        { token: 'o', logprob: -0.5, bytes: [111] },
        { token: 'p', logprob: -1.5, bytes: [112] },
      ],
    });
    await engine.idle();
    expect(engine.numRunning).toBe(0);
    expect(engine.requests.map((request) => request.params.seed)).toEqual([
      [1, 0],
      [2, 0],
    ]);
  });

  test('a stop string aborts the engine’s request', async () => {
    const { post, engine } = testApp(function* () {
      yield* idsOf('stop here');
      yield 'hold';
    });
    const response = await post('/v1/chat/completions', { ...chatBody, stop: ['here'] });
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'stop ' } }] });
    await engine.idle();
    expect(engine.aborted).toHaveLength(1);
  });
});

describe('completions', () => {
  test('text, ids, and batches with n', async () => {
    const { post } = testApp(echoes);
    const answer = async (prompt: unknown, more: object = {}) =>
      (await (await post('/v1/completions', { prompt, ...more })).json()) as {
        choices: { text: string; index: number }[];
        usage: object;
      };
    expect((await answer('hello')).choices[0]?.text).toBe('hello');
    expect((await answer([104, 105])).choices[0]?.text).toBe('hi');
    const batch = await answer(['a', 'bc'], { n: 2 });
    expect(batch.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'a'],
      [1, 'a'],
      [2, 'bc'],
      [3, 'bc'],
    ]);
    expect(batch.usage).toEqual({ prompt_tokens: 3, completion_tokens: 10, total_tokens: 13 });
    expect((await answer([[104], [105, 105]])).choices.map((choice) => choice.text)).toEqual(['h', 'ii']);
  });

  test('max_tokens ends with length', async () => {
    const { post } = testApp(echoes);
    expect(
      await (await post('/v1/completions', { prompt: 'hello world', max_tokens: 1, logprobs: 1 })).json(),
    ).toMatchObject({
      choices: [
        {
          text: 'hello',
          finish_reason: 'length',
          logprobs: { tokens: ['hello'], text_offset: [0], token_logprobs: [-0.5], top_logprobs: [{ hello: -0.5 }] },
        },
      ],
    });
  });
});

describe('errors', () => {
  test.each([
    ['not JSON', '{"messages": [', 400, null],
    ['an array', '[]', 400, null],
    ['a wrong field', '{"messages":[{"role":"user","content":"x"}],"max_tokens":"many"}', 400, 'max_tokens'],
    ['an unknown model', '{"model":"gpt-5","messages":[{"role":"user","content":"x"}]}', 404, 'model'],
  ] as const)('%s', async (_, body, status, param) => {
    const { post } = testApp(says('a'));
    const response = await post('/v1/chat/completions', body);
    expect(response.status).toBe(status);
    expect(((await response.json()) as ErrorJson).error).toMatchObject({ param, code: status });
  });

  test('other content types, and none', async () => {
    const { post } = testApp(says('a'));
    for (const type of ['text/plain', '']) {
      const response = await post('/v1/chat/completions', chatBody, { headers: { 'content-type': type } });
      expect([response.status, ((await response.json()) as ErrorJson).error.message]).toEqual([
        400,
        "Unsupported Media Type: Only 'application/json' is allowed.",
      ]);
    }
    const ok = await post('/v1/chat/completions', chatBody, {
      headers: { 'content-type': 'Application/JSON; charset=utf-8' },
    });
    expect(ok.status).toBe(200);
  });

  test('a body beyond the limit, with and without a declared length', async () => {
    const { post } = testApp(says('a'), { settings: { maxRequestBodyBytes: 100 } });
    const long = JSON.stringify({ prompt: 'a'.repeat(200) });
    const declared = await post('/v1/completions', long, { headers: { 'content-length': String(long.length) } });
    expect(declared.status).toBe(413);
    expect((await post('/v1/completions', long)).status).toBe(413);
    expect((await post('/v1/completions', { prompt: 'a' })).status).toBe(200);
  });

  test('an unknown URL or method has the same shape', async () => {
    const { get, app } = testApp(says('a'));
    for (const response of [
      await get('/v1/nope'),
      await get('/v1/chat/completions'),
      await app.handle(new Request('http://llm/v1/nope', { method: 'DELETE' })),
    ]) {
      expect([response.status, ((await response.json()) as ErrorJson).error.type]).toEqual([404, 'NotFoundError']);
    }
  });

  test('too long a prompt and a missing template are 400 also when streaming', async () => {
    const { post } = testApp(says('a'));
    const response = await post('/v1/completions', { prompt: 'a'.repeat(300), stream: true });
    expect([response.status, ((await response.json()) as ErrorJson).error.param]).toEqual([400, 'prompt']);
    const bare = testApp(says('a'), { model: testModel({ template: null }) });
    const refused = await bare.post('/v1/chat/completions', { ...chatBody, stream: true });
    expect([refused.status, ((await refused.json()) as ErrorJson).error.param]).toEqual([400, 'messages']);
  });

  test('a refusal of the engine keeps its status, and frees what was started', async () => {
    const { post, engine } = testApp(() => ['hold']);
    engine.refuseFrom = 1;
    const response = await post('/v1/completions', { prompt: ['a', 'b'], stream: true });
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5']);
    expect(((await response.json()) as ErrorJson).error.type).toBe('ServiceUnavailableError');
    await engine.idle();
    expect(engine.aborted).toEqual([engine.requests[0]?.id ?? '']);
  });

  test('an engine that dies in the middle is a 500', async () => {
    const { post, reported } = testApp(function* () {
      yield 97;
      yield new EngineError('engine-dead', 'The engine process ended.');
    });
    const response = await post('/v1/completions', { prompt: 'a' });
    expect(response.status).toBe(500);
    expect(((await response.json()) as ErrorJson).error).toEqual({
      message: 'The engine process ended.',
      type: 'InternalServerError',
      param: null,
      code: 500,
    });
    expect(reported).toHaveLength(1);
  });

  test('an unexpected failure keeps its text to itself', async () => {
    const { post, engine, reported } = testApp(says('a'));
    engine.generate = () => {
      throw new Error('/secret/path');
    };
    const response = await post('/v1/completions', { prompt: 'a' });
    expect(response.status).toBe(500);
    expect(((await response.json()) as ErrorJson).error.message).toBe('Internal server error.');
    expect(reported).toHaveLength(1);
  });

  test('a client that leaves aborts a whole answer too', async () => {
    const { post, engine } = testApp(() => ['hold']);
    const controller = new AbortController();
    const pending = post('/v1/completions', { prompt: 'a' }, { signal: controller.signal });
    await engine.held();
    controller.abort();
    await engine.idle();
    expect(engine.aborted).toHaveLength(1);
    await pending;
  });
});

describe('keys', () => {
  const { get, post } = testApp(says('a'), { settings: { apiKeys: ['one', 'two'] } });

  test('any of the keys opens, nothing else does', async () => {
    for (const [authorization, status] of [
      ['Bearer one', 200],
      ['bearer two', 200],
      ['Bearer three', 401],
      ['Bearer ', 401],
      ['one', 401],
      ['', 401],
    ] as const) {
      const response = await post('/v1/chat/completions', chatBody, { headers: { authorization } });
      expect([authorization, response.status]).toEqual([authorization, status]);
    }
    const refused = await get('/v1/models');
    expect(((await refused.json()) as ErrorJson).error).toMatchObject({ type: 'AuthenticationError', code: 401 });
  });

  test('probes and metrics stay open, everything else is closed', async () => {
    for (const path of ['/health', '/version', '/metrics']) expect((await get(path)).status).toBe(200);
    expect((await post('/tokenize', { prompt: 'a' })).status).toBe(401);
    expect((await get('/unknown')).status).toBe(401);
  });
});

describe('models', () => {
  test('the list and one of it, with a slash in the name', async () => {
    const { get } = testApp(says('a'));
    const list = (await (await get('/v1/models')).json()) as { data: object[] };
    expect(list).toMatchObject({
      object: 'list',
      data: [
        { id: 'test-model', object: 'model', max_model_len: 256, root: 'models/test' },
        { id: 'alias/of-it', object: 'model' },
      ],
    });
    for (const path of ['/v1/models/alias/of-it', '/v1/models/alias%2Fof-it']) {
      expect(await (await get(path)).json()).toMatchObject({ id: 'alias/of-it' });
    }
    const missing = await get('/v1/models/other');
    expect([missing.status, ((await missing.json()) as ErrorJson).error.param]).toEqual([404, 'model']);
  });
});

describe('operations', () => {
  test('health follows the engine and the drain', async () => {
    let isDraining = false;
    const { get, post, engine } = testApp(says('a'), { isDraining: () => isDraining });
    expect([(await get('/health')).status]).toEqual([200]);
    for (const state of ['loading', 'restarting', 'failed', 'closed'] as const) {
      engine.setState(state);
      const response = await get('/health');
      expect([state, response.status]).toEqual([state, 503]);
      expect(((await response.json()) as ErrorJson).error.message).toContain('.');
      const refused = await post('/v1/chat/completions', chatBody);
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    }
    engine.setState('ready');
    isDraining = true;
    expect((await get('/health')).status).toBe(503);
    const refused = await post('/v1/completions', { prompt: 'a', stream: true });
    expect(refused.status).toBe(503);
    expect(((await refused.json()) as ErrorJson).error.message).toBe('The server is shutting down.');
  });

  test('models and version answer while the model loads', async () => {
    const { get, engine } = testApp(says('a'));
    engine.setState('loading');
    expect(await (await get('/v1/models')).json()).toMatchObject({ data: [{ max_model_len: null }, {}] });
    expect(await (await get('/version')).json()).toEqual({ version: '0.0.0' });
  });

  test('tokenize and detokenize', async () => {
    const { post } = testApp(says('a'));
    const tokenized = await post('/tokenize', { prompt: 'hello world', return_token_strs: true });
    expect(await tokenized.json()).toEqual({
      count: 2,
      max_model_len: 256,
      tokens: [259, 263],
      token_strs: ['hello', 'Ġworld'],
    });
    const chat = (await (await post('/tokenize', { messages: chatBody.messages })).json()) as { tokens: number[] };
    expect(chat.tokens[0]).toBe(testIds.imStart);
    expect(await (await post('/detokenize', { tokens: [259, 263, testIds.imEnd] })).json()).toEqual({
      prompt: 'hello world<|im_end|>',
    });
    expect(await (await post('/detokenize', { tokens: [] })).json()).toEqual({ prompt: '' });
    const bad = await post('/detokenize', { tokens: [999] });
    expect([bad.status, ((await bad.json()) as ErrorJson).error.param]).toEqual([400, 'tokens[0]']);
    expect((await post('/tokenize', {})).status).toBe(400);
    expect((await post('/tokenize', { prompt: 'a', model: 'other' })).status).toBe(404);
  });

  test('metrics count what happened', async () => {
    const { get, post } = testApp(says('hello world'));
    await post('/v1/completions', { prompt: 'a' });
    await post('/v1/completions', { prompt: 'a', max_tokens: 1 });
    const response = await get('/metrics');
    expect(response.headers.get('content-type')).toStartWith('text/plain; version=0.0.4');
    const text = await response.text();
    const labels = 'model_name="test-model",engine="0"';
    for (const line of [
      `vllm:num_requests_running{${labels}} 0`,
      `vllm:num_requests_waiting{${labels}} 0`,
      `vllm:kv_cache_usage_perc{${labels}} 0`,
      `vllm:num_preemptions_total{${labels}} 3`,
      `vllm:prompt_tokens_total{${labels}} 2`,
      `vllm:request_success_total{${labels},finished_reason="stop"} 1`,
      `vllm:request_success_total{${labels},finished_reason="length"} 1`,
      `vllm:time_to_first_token_seconds_count{${labels}} 2`,
      `vllm:time_to_first_token_seconds_bucket{${labels},le="0.001"} 2`,
      `vllm:e2e_request_latency_seconds_count{${labels}} 2`,
      `vllm:inter_token_latency_seconds_count{${labels}} 2`,
      `vllm:request_generation_tokens_sum{${labels}} 4`,
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).toEndWith('\n');
  });
});
