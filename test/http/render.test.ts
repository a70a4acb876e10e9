/** Prompts rendered without generating. */
import { describe, expect, test } from 'bun:test';
import { idsOf, says, testApp } from '../helpers/test-app.ts';

const text = '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n';
const messages = [{ role: 'user', content: 'hi' }];

describe('render', () => {
  test('a chat: one request, nothing generated', async () => {
    const { post, engine } = testApp(says('a'));
    const answer = await post(
      '/v1/chat/completions/render',
      {
        messages,
        temperature: 0.125,
        top_p: 0.5,
        max_tokens: 9,
        stop: 'END',
        stream: true,
        stream_options: { include_usage: true },
      },
      { headers: { 'x-request-id': 'mine' } },
    );
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(await answer.json()).toMatchObject({
      request_id: 'chatcmpl-mine',
      model: 'test-model',
      prompt: text,
      token_ids: idsOf(text),
      token_offsets: null,
      sampling_params: { temperature: 0.125, top_p: 0.5, max_tokens: 9, stop: ['END'], n: 1, seed: null },
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(engine.requests).toHaveLength(0);
  });

  test('what is rendered is what would run', async () => {
    const { post, engine } = testApp(says('a'));
    const body = { messages, seed: -5, n: 2 };
    const rendered = (await (await post('/v1/chat/completions/render', body)).json()) as {
      token_ids: number[];
      sampling_params: { seed: number; n: number; max_tokens: number };
    };
    await post('/v1/chat/completions', body);
    expect(rendered.token_ids).toEqual([...(engine.requests[0]?.promptTokenIds ?? [])]);
    expect(rendered.sampling_params).toMatchObject({
      seed: -5,
      n: 2,
      max_tokens: engine.requests[0]?.params.maxTokens ?? 0,
    });
  });

  test('completions: a list with one for each prompt', async () => {
    const { post } = testApp(says('a'));
    const answer = await post('/v1/completions/render', { prompt: ['hello', 'world x'], n: 2 });
    expect(await answer.json()).toMatchObject([
      { prompt: 'hello', token_ids: idsOf('hello'), sampling_params: { n: 2, max_tokens: 16 } },
      { prompt: 'world x', token_ids: idsOf('world x') },
    ]);
    const ids = await post('/v1/completions/render', { prompt: [104, 105] });
    expect(await ids.json()).toMatchObject([{ prompt: 'hi', token_ids: [104, 105] }]);
  });

  test('refuses what the endpoints refuse', async () => {
    const { post } = testApp(says('a'));
    expect((await post('/v1/chat/completions/render', { messages: [] })).status).toBe(400);
    expect((await post('/v1/completions/render', { prompt: 'x', model: 'other' })).status).toBe(404);
    expect((await post('/v1/completions/render', { prompt: 'x'.repeat(5000) })).status).toBe(400);
  });
});
