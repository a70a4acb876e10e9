/**
 * The official client against a listening server with a fake engine.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import OpenAI, { APIError, AuthenticationError, BadRequestError, InternalServerError, NotFoundError } from 'openai';
import { EngineError } from '../../src/engine/types.ts';
import { type Listening, listen, setIdleTimeout } from '../../src/runtime/serve.ts';
import { idsOf, type TestApp, testApp } from '../helpers/test-app.ts';
import { testIds } from '../helpers/test-tokenizer.ts';

/** The last user message decides what happens. */
const script = (request: { promptTokenIds: ArrayLike<number> }) => {
  const prompt = Buffer.from(Array.from(request.promptTokenIds).filter((id) => id < 256)).toString();
  if (prompt.includes('wait')) return [97, 'hold' as const, 98];
  if (prompt.includes('die')) return [97, new EngineError('engine-dead', 'The engine process ended.')];
  return idsOf('hello 👍 world');
};

describe('the official client', () => {
  let server: Listening;
  let subject: TestApp;
  let client: OpenAI;
  const baseURL = (): string => `http://127.0.0.1:${server.port}/v1`;
  const messages = (content: string) => [{ role: 'user' as const, content }];

  beforeAll(() => {
    subject = testApp(script, { settings: { apiKeys: ['key'] }, setIdleTimeout });
    server = listen(subject.app, { host: '127.0.0.1', port: 0, maxRequestBodyBytes: 1 << 20 });
    client = new OpenAI({ baseURL: baseURL(), apiKey: 'key', maxRetries: 0 });
  });

  afterAll(() => server.stop(true));

  test('chat', async () => {
    const answer = await client.chat.completions.create({
      model: 'test-model',
      messages: messages('hi'),
      logprobs: true,
    });
    expect(answer.choices[0]?.message.content).toBe('hello 👍 world');
    expect(answer.choices[0]?.finish_reason).toBe('stop');
    expect(answer.usage?.completion_tokens).toBe(answer.choices[0]?.logprobs?.content?.length ?? 0);
    expect(answer._request_id).not.toBeNull();
  });

  test('streamed chat', async () => {
    const stream = await client.chat.completions.create({
      model: 'test-model',
      messages: messages('hi'),
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let finish: string | null = null;
    let tokens = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      tokens = chunk.usage?.completion_tokens ?? tokens;
    }
    expect([text, finish, tokens > 0]).toEqual(['hello 👍 world', 'stop', true]);
  });

  test('completions, whole and streamed', async () => {
    const whole = await client.completions.create({ model: 'test-model', prompt: ['x', 'y'], max_tokens: 64 });
    expect(whole.choices.map((choice) => choice.text)).toEqual(['hello 👍 world', 'hello 👍 world']);
    let text = '';
    const stream = await client.completions.create({
      model: 'test-model',
      prompt: [1, 2],
      max_tokens: 64,
      stream: true,
    });
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
    expect(text).toBe('hello 👍 world');
  });

  test('models', async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toEqual(['test-model', 'alias/of-it']);
    expect((await client.models.retrieve('alias/of-it')).id).toBe('alias/of-it');
  });

  test('errors have their classes, fields and statuses', async () => {
    const ask = (body: object) =>
      client.chat.completions.create({ model: 'test-model', messages: messages('hi'), ...body }).then(
        () => null,
        (error: unknown) => error,
      );
    const bad = (await ask({ temperature: 3 })) as BadRequestError;
    expect(bad).toBeInstanceOf(BadRequestError);
    expect([bad.status, bad.param, bad.type]).toEqual([400, 'temperature', 'BadRequestError']);
    expect(await ask({ model: 'other' })).toBeInstanceOf(NotFoundError);
    expect(await ask({ messages: messages('die') })).toBeInstanceOf(InternalServerError);
    const stranger = new OpenAI({ baseURL: baseURL(), apiKey: 'wrong', maxRetries: 0 });
    const refused = await stranger.models.list().then(
      () => null,
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(AuthenticationError);
  });

  test('an error in the middle of a stream reaches the reader', async () => {
    const stream = await client.chat.completions.create({
      model: 'test-model',
      messages: messages('die'),
      stream: true,
    });
    let text = '';
    const reading = (async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    })();
    const error = await reading.then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(APIError);
    expect(text).toBe('a');
  });

  test('leaving a stream frees its request', async () => {
    const before = subject.engine.aborted.length;
    const stream = await client.chat.completions.create({
      model: 'test-model',
      messages: messages('wait'),
      stream: true,
    });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'a') break;
    await subject.engine.idle();
    expect(subject.engine.aborted.length).toBe(before + 1);
  });

  test('leaving a whole answer frees its request', async () => {
    const before = subject.engine.aborted.length;
    const controller = new AbortController();
    const pending = client.chat.completions
      .create({ model: 'test-model', messages: messages('wait') }, { signal: controller.signal })
      .catch(() => 'left');
    await subject.engine.held();
    controller.abort();
    expect(await pending).toBe('left');
    await subject.engine.idle();
    expect(subject.engine.aborted.length).toBe(before + 1);
  });

  test('headers of a stream come before its first token', async () => {
    const response = await fetch(`${baseURL()}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer key' },
      body: JSON.stringify({ prompt: [...idsOf('wait'), testIds.imEnd], stream: true, max_tokens: 8 }),
    });
    expect(response.status).toBe(200);
    await subject.engine.held();
    subject.engine.release();
    expect(await response.text()).toContain('[DONE]');
  });
});
