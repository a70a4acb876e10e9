/** The official client's Responses API against a listening server with a fake engine. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { type Listening, listen, setIdleTimeout } from '../../src/runtime/serve.ts';
import { idsOf, type TestApp, testApp } from '../helpers/test-app.ts';

/** The prompt decides what happens. */
const script = (request: { promptTokenIds: ArrayLike<number> }) => {
  const prompt = Buffer.from(Array.from(request.promptTokenIds).filter((id) => id < 256)).toString();
  return prompt.includes('wait') ? [97, 'hold' as const, 98] : idsOf('hello 👍 world');
};

describe('the official client', () => {
  let server: Listening;
  let subject: TestApp;
  let client: OpenAI;
  const model = 'test-model';

  beforeAll(() => {
    subject = testApp(script, { settings: { apiKeys: ['key'] }, setIdleTimeout });
    server = listen(subject.app, { host: '127.0.0.1', port: 0, maxRequestBodyBytes: 1 << 20 });
    client = new OpenAI({ baseURL: `http://127.0.0.1:${server.port}/v1`, apiKey: 'key', maxRetries: 0 });
  });

  afterAll(() => server.stop(true));

  test('create, go on, retrieve, list, delete', async () => {
    const first = await client.responses.create({ model, input: 'hi', instructions: 'Be brief.' });
    expect([first.output_text, first.status]).toEqual(['hello 👍 world', 'completed']);
    const second = await client.responses.create({ model, input: 'more', previous_response_id: first.id });
    expect((await client.responses.retrieve(second.id)).output_text).toBe('hello 👍 world');
    const roles: unknown[] = [];
    for await (const item of client.responses.inputItems.list(second.id, { order: 'asc', limit: 2 })) {
      roles.push(item.type === 'message' && item.role);
    }
    expect(roles).toEqual(['user', 'assistant', 'user']);
    await client.responses.delete(first.id);
    const gone = await client.responses.retrieve(first.id).catch((error: unknown) => error);
    expect(gone).toBeInstanceOf(NotFoundError);
  });

  test('stream, by events and by the client’s own accumulator', async () => {
    let text = '';
    let last = '';
    for await (const event of await client.responses.create({ model, input: 'hi', stream: true })) {
      if (event.type === 'response.output_text.delta') text += event.delta;
      last = event.type;
    }
    expect([text, last]).toEqual(['hello 👍 world', 'response.completed']);
    const stream = client.responses.stream({ model, input: 'hi' });
    expect((await stream.finalResponse()).output_text).toBe('hello 👍 world');
  });

  test('background, polled and cancelled', async () => {
    const before = subject.engine.aborted.length;
    const { id, status } = await client.responses.create({ model, input: 'wait', background: true });
    expect(status).toBe('queued');
    await subject.engine.held();
    expect((await client.responses.cancel(id)).status).toBe('cancelled');
    await subject.engine.idle();
    expect(subject.engine.aborted.length).toBe(before + 1);
    expect((await client.responses.retrieve(id)).status).toBe('cancelled');
  });

  test('leaving a stream frees its request', async () => {
    const before = subject.engine.aborted.length;
    const stream = await client.responses.create({ model, input: 'wait', stream: true });
    for await (const event of stream) if (event.type === 'response.output_text.delta') break;
    await subject.engine.idle();
    expect(subject.engine.aborted.length).toBe(before + 1);
  });

  test('a refusal names its field', async () => {
    const refused = await client.responses
      .create({ model, input: 'hi', tools: [{ type: 'web_search' }] })
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BadRequestError);
    expect((refused as BadRequestError).param).toBe('tools');
  });
});
