/** Anthropic's protocol over a fake engine. */
import { describe, expect, test } from 'bun:test';
import { EngineError } from '../../src/engine/types.ts';
import { namedEventsOf } from '../helpers/named-events.ts';
import { says, type TestApp, testApp } from '../helpers/test-app.ts';
import { testIds } from '../helpers/test-tokenizer.ts';

const body = { model: 'test-model', max_tokens: 64, messages: [{ role: 'user', content: 'hi' }] };

const prompt = (subject: TestApp): string =>
  subject.deps.model.tokenizer.decode(subject.engine.requests.at(-1)?.promptTokenIds ?? [], {
    skipSpecialTokens: false,
  });

describe('a whole message', () => {
  test('its shape', async () => {
    const subject = testApp(says('hello world'));
    const answer = await subject.post('/v1/messages', { ...body, system: 'Be brief.', metadata: { user_id: 'u' } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('request-id')).toBe(answer.headers.get('x-request-id'));
    const message = (await answer.json()) as { id: string };
    expect(message).toEqual({
      id: expect.stringMatching(/^msg_[0-9a-f]{32}$/) as unknown as string,
      type: 'message',
      role: 'assistant',
      model: 'test-model',
      content: [{ type: 'text', text: 'hello world' }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: {
        input_tokens: subject.engine.requests[0]?.promptTokenIds.length ?? 0,
        cache_creation_input_tokens: null,
        cache_read_input_tokens: null,
        output_tokens: 3,
      },
    } as object as typeof message);
    expect(prompt(subject)).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  test.each([
    ['max_tokens', { max_tokens: 1 }, 'hello', null],
    ['stop_sequence', { stop_sequences: ['x', ' wor'] }, 'hello', ' wor'],
    ['end_turn', { stop_token_ids: [testIds.imEnd] }, 'hello world', null],
  ] as const)('ends with %s', async (reason, more, text, sequence) => {
    const { post } = testApp(says('hello world'));
    expect(await (await post('/v1/messages', { ...body, ...more })).json()).toMatchObject({
      content: [{ type: 'text', text }],
      stop_reason: reason,
      stop_sequence: sequence,
    });
  });

  test('nothing said is no content', async () => {
    const { post } = testApp(says(''));
    expect(await (await post('/v1/messages', body)).json()).toMatchObject({ content: [], stop_reason: 'end_turn' });
  });

  test('blocks, turns that repeat a role, and an answer begun by the client', async () => {
    const subject = testApp(says('a'));
    const text = (value: string) => ({ type: 'text', text: value, cache_control: { type: 'ephemeral' } });
    await subject.post('/v1/messages', {
      ...body,
      system: [text('S'), text('T')],
      messages: [
        { role: 'user', content: [text('one'), text('two')] },
        { role: 'user', content: 'three' },
        { role: 'assistant', content: 'It is' },
      ],
      temperature: 0.5,
      top_k: 4,
      tools: [],
      thinking: { type: 'disabled' },
    });
    expect(prompt(subject)).toBe(
      '<|im_start|>system\nS\nT<|im_end|>\n<|im_start|>user\none\ntwo\nthree<|im_end|>\n<|im_start|>assistant\nIt is',
    );
    expect(subject.engine.requests[0]?.params).toMatchObject({ maxTokens: 64, temperature: 0.5, topK: 4 });
  });
});

describe('a streamed message', () => {
  test('its events', async () => {
    const subject = testApp(says('hello world'));
    const answer = await subject.post('/v1/messages', { ...body, stream: true });
    expect(answer.headers.get('content-type')).toStartWith('text/event-stream');
    const events = namedEventsOf(await answer.text());
    const types = events.map((event) => event.type as string);
    expect(types.filter((type, index) => type !== types[index - 1])).toEqual([
      'message_start',
      'content_block_start',
      'ping',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    const deltas = events.flatMap((event) => (event.type === 'content_block_delta' ? [event.delta] : []));
    expect((deltas as { text: string }[]).map((delta) => delta.text).join('')).toBe('hello world');
    const inputTokens = subject.engine.requests[0]?.promptTokenIds.length ?? 0;
    expect(events[0]).toMatchObject({
      message: { content: [], stop_reason: null, usage: { input_tokens: inputTokens } },
    });
    expect(events.at(-2)).toMatchObject({
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { input_tokens: inputTokens, output_tokens: 3 },
    });
  });

  test('a stop sequence; nothing said', async () => {
    const stopped = await testApp(says('hello world')).post('/v1/messages', {
      ...body,
      stream: true,
      stop_sequences: ['wor'],
    });
    expect(namedEventsOf(await stopped.text()).at(-2)).toMatchObject({
      delta: { stop_reason: 'stop_sequence', stop_sequence: 'wor' },
    });
    const silent = await testApp(says('')).post('/v1/messages', { ...body, stream: true });
    expect(namedEventsOf(await silent.text()).map((event) => event.type)).toEqual([
      'message_start',
      'message_delta',
      'message_stop',
    ]);
  });

  test('an engine that dies ends it with an error', async () => {
    const subject = testApp(() => [97, new EngineError('device-lost', 'The GPU device was lost.')]);
    const events = namedEventsOf(await (await subject.post('/v1/messages', { ...body, stream: true })).text());
    expect(events.at(-1)).toEqual({ type: 'error', error: { type: 'api_error', message: 'The GPU device was lost.' } });
    expect(subject.reported).toHaveLength(1);
  });

  test('an engine that is closed ends it as overloaded; leaving aborts', async () => {
    const subject = testApp(() => [97, 'hold']);
    const answer = await subject.post('/v1/messages', { ...body, stream: true });
    await subject.engine.held();
    await subject.engine.close();
    expect(namedEventsOf(await answer.text()).at(-1)).toMatchObject({ error: { type: 'overloaded_error' } });
    const other = testApp(() => [97, 'hold']);
    const reader = (await other.post('/v1/messages', { ...body, stream: true })).body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await other.engine.idle();
    expect(other.engine.aborted).toHaveLength(1);
  });
});

describe('count_tokens', () => {
  test('as many as the message’s prompt has', async () => {
    const subject = testApp(says('a'));
    const conversation = { model: 'test-model', system: 'S', messages: [{ role: 'user', content: 'hello world' }] };
    await subject.post('/v1/messages', { ...conversation, max_tokens: 1 });
    const counted = await subject.post('/v1/messages/count_tokens', conversation);
    expect(await counted.json()).toEqual({ input_tokens: subject.engine.requests[0]?.promptTokenIds.length ?? 0 });
    const tooLong = { messages: [{ role: 'user', content: 'x'.repeat(2000) }] };
    const long = await subject.post('/v1/messages/count_tokens', tooLong);
    expect(((await long.json()) as { input_tokens: number }).input_tokens).toBeGreaterThan(2000);
  });
});

interface ErrorJson {
  readonly type: string;
  readonly error: { readonly type: string; readonly message: string };
}

describe('errors', () => {
  test.each([
    [{ max_tokens: undefined }, 'max_tokens'],
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ messages: [] }, 'messages'],
    [{ messages: [{ role: 'system', content: 'x' }] }, 'messages[0].role'],
    [{ messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, 'messages[0].content[0]'],
    [{ messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 't' }] }] }, 'messages[0].content[0]'],
    [{ messages: [{ role: 'assistant', content: 'It is ' }] }, 'messages'],
    [{ messages: [{ role: 'user', content: 'x'.repeat(2000) }] }, 'context length'],
    [{ system: [{ type: 'image' }] }, 'system[0]'],
    [{ tools: [{ name: 'f', input_schema: {} }] }, 'tools'],
    [{ tool_choice: { type: 'any' } }, 'tool_choice'],
    [{ thinking: { type: 'enabled', budget_tokens: 1024 } }, 'thinking'],
    [{ stop: 'x' }, 'stop'],
    [{ stop_sequences: [''] }, 'stop_sequences[0]'],
    [{ temperature: 3 }, 'temperature'],
    [{ min_tokens: 65 }, 'max_tokens'],
    [{ n: 2 }, 'n'],
  ])('%j is refused and named', async (more, field) => {
    const subject = testApp(says('a'));
    const answer = await subject.post('/v1/messages', { ...body, ...more });
    expect(answer.status).toBe(400);
    const error = (await answer.json()) as ErrorJson;
    expect([error.type, error.error.type]).toEqual(['error', 'invalid_request_error']);
    expect(error.error.message).toContain(field);
    expect(error.error.message).not.toContain('max_completion_tokens');
    expect(subject.engine.requests).toHaveLength(0);
  });

  test('each status has its type', async () => {
    const typeOf = async (response: Response): Promise<unknown> => [
      response.status,
      ((await response.json()) as ErrorJson).error.type,
    ];
    const { post, get, engine } = testApp(says('a'), { settings: { maxRequestBodyBytes: 1000 } });
    expect(await typeOf(await post('/v1/messages', { ...body, model: 'other' }))).toEqual([404, 'not_found_error']);
    expect(await typeOf(await get('/v1/messages'))).toEqual([404, 'not_found_error']);
    expect(await typeOf(await post('/v1/messages', { ...body, system: 'x'.repeat(1000) }))).toEqual([
      413,
      'request_too_large',
    ]);
    engine.refuseWith = new EngineError('overloaded', 'The queue is full.');
    const full = await post('/v1/messages', body);
    expect(full.headers.get('retry-after')).not.toBeNull();
    expect(await typeOf(full)).toEqual([503, 'overloaded_error']);
    engine.refuseWith = new EngineError('engine-dead', 'The engine process ended.');
    expect(await typeOf(await post('/v1/messages', body))).toEqual([500, 'api_error']);
  });
});

describe('keys', () => {
  const subject = testApp(says('a'), { settings: { apiKeys: ['key'] } });
  const status = async (path: string, headers: Record<string, string>) =>
    (await subject.post(path, body, { headers })).status;

  test('x-api-key and bearer, here alone', async () => {
    expect(await status('/v1/messages', { 'x-api-key': 'key', 'anthropic-version': '2023-06-01' })).toBe(200);
    expect(await status('/v1/messages/count_tokens', { 'x-api-key': 'key' })).toBe(200);
    expect(await status('/v1/messages', { authorization: 'Bearer key' })).toBe(200);
    expect(await status('/v1/messages', { 'x-api-key': 'wrong' })).toBe(401);
    expect(await status('/v1/messages', { 'x-api-key': 'key', authorization: 'Bearer wrong' })).toBe(401);
    expect(await status('/v1/chat/completions', { 'x-api-key': 'key' })).toBe(401);
  });

  test('a missing key is refused in this protocol', async () => {
    const answer = await subject.post('/v1/messages', body);
    expect(await answer.json()).toMatchObject({ type: 'error', error: { type: 'authentication_error' } });
  });
});
