/** The Responses API over a fake engine: objects, events, the store, the background. */
import { describe, expect, test } from 'bun:test';
import { EngineError } from '../../src/engine/types.ts';
import { namedEventsOf } from '../helpers/named-events.ts';
import { echoes, idsOf, says, type TestApp, testApp } from '../helpers/test-app.ts';

interface ResponseJson {
  readonly id: string;
  readonly status: string;
  readonly output: {
    readonly id: string;
    readonly content: { readonly text: string; readonly logprobs: object[] }[];
  }[];
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly [field: string]: unknown;
}

const json = async (response: Response | Promise<Response>): Promise<ResponseJson> =>
  (await (await response).json()) as ResponseJson;

const create = (subject: TestApp, body: object): Promise<ResponseJson> => json(subject.post('/v1/responses', body));

const prompt = (subject: TestApp): string =>
  subject.deps.model.tokenizer.decode(subject.engine.requests.at(-1)?.promptTokenIds ?? [], {
    skipSpecialTokens: false,
  });

describe('create', () => {
  test('a whole response', async () => {
    const subject = testApp(says('hello world'));
    const answer = await subject.post(
      '/v1/responses',
      { input: 'hi', instructions: 'Be brief.', temperature: 0.5, metadata: { a: 'b' }, user: 'me' },
      { headers: { 'x-request-id': 'mine' } },
    );
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-request-id')).toBe('mine');
    const response = await json(answer);
    const promptTokens = subject.engine.requests[0]?.promptTokenIds.length ?? 0;
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      error: null,
      incomplete_details: null,
      instructions: 'Be brief.',
      model: 'test-model',
      temperature: 0.5,
      metadata: { a: 'b' },
      user: 'me',
      output: [
        {
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'hello world', annotations: [], logprobs: [] }],
        },
      ],
      usage: { input_tokens: promptTokens, output_tokens: 3, total_tokens: promptTokens + 3 },
    });
    expect(response.id).toMatch(/^resp_[0-9a-f]{32}$/);
    expect(response.output[0]?.id).toMatch(/^msg_[0-9a-f]{32}$/);
    expect(prompt(subject)).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  test('items of text, and what the samplers are told', async () => {
    const subject = testApp(says('a'));
    await create(subject, {
      input: [
        { role: 'developer', content: 'D' },
        {
          type: 'message',
          role: 'user',
          content: [
            { type: 'input_text', text: 'one' },
            { type: 'input_text', text: 'two' },
          ],
        },
        {
          type: 'message',
          role: 'assistant',
          id: 'msg_1',
          status: 'completed',
          content: [{ type: 'output_text', text: 'three' }],
        },
        { role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }] },
        { role: 'user', content: 'four' },
      ],
      max_output_tokens: 7,
      top_p: 0.5,
      top_k: 3,
      min_p: 0.1,
      seed: 9,
      stop: ['END'],
      tools: [],
      tool_choice: 'auto',
      reasoning: { effort: 'low' },
    });
    expect(prompt(subject)).toBe(
      '<|im_start|>system\nD<|im_end|>\n<|im_start|>user\none\ntwo<|im_end|>\n<|im_start|>assistant\nthree<|im_end|>\n' +
        '<|im_start|>assistant\nno<|im_end|>\n<|im_start|>user\nfour<|im_end|>\n<|im_start|>assistant\n',
    );
    expect(subject.engine.requests[0]?.params).toMatchObject({
      maxTokens: 7,
      topP: 0.5,
      topK: 3,
      minP: 0.1,
      seed: [9, 0],
    });
  });

  test('a limit makes it incomplete', async () => {
    expect(await create(testApp(says('hello world')), { input: 'x', max_output_tokens: 1 })).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete', content: [{ text: 'hello' }] }],
    });
  });

  test('log probabilities, when they are included or counted', async () => {
    const logprobs = async (body: object) =>
      (await create(testApp(says('a')), { input: 'x', ...body })).output[0]?.content[0]?.logprobs;
    expect(await logprobs({})).toEqual([]);
    const plain = { token: 'a', logprob: -0.5, bytes: [97] };
    expect((await logprobs({ include: ['message.output_text.logprobs'] }))?.[0]).toEqual({
      ...plain,
      top_logprobs: [],
    });
    expect((await logprobs({ top_logprobs: 1 }))?.[0]).toEqual({ ...plain, top_logprobs: [plain] });
  });

  test('a failing engine is an error of HTTP, reported once', async () => {
    const subject = testApp(() => [97, new EngineError('device-lost', 'The GPU device was lost.')]);
    const answer = await subject.post('/v1/responses', { input: 'x' });
    expect(answer.status).toBe(500);
    expect(subject.reported).toHaveLength(1);
  });

  test.each([
    [{}, 'input'],
    [{ input: [] }, 'input'],
    [{ input: 7 }, 'input'],
    [{ input: [{ type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' }] }, 'input[0].type'],
    [
      {
        input: [
          { role: 'user', content: 'a' },
          { type: 'function_call_output', call_id: 'c', output: '' },
        ],
      },
      'input[1].type',
    ],
    [{ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }, 'input[0].content[0]'],
    [{ input: [{ role: 'user', content: [{ type: 'input_text' }] }] }, 'input[0].content[0]'],
    [{ input: [{ role: 'robot', content: 'a' }] }, 'input[0].role'],
    [{ input: [{ role: 'user' }] }, 'input[0].content'],
    [{ input: 'x'.repeat(2000) }, 'input'],
    [{ input: 'x', max_output_tokens: 0 }, 'max_output_tokens'],
    [{ input: 'x', max_tokens: 5 }, 'max_tokens'],
    [{ input: 'x', n: 2 }, 'n'],
    [{ input: 'x', use_beam_search: true }, 'use_beam_search'],
    [{ input: 'x', stream: true, stream_options: { include_obfuscation: true } }, 'stream_options'],
    [{ input: 'x', min_tokens: 5, max_output_tokens: 2 }, 'min_tokens'],
    [{ input: 'x', temperature: 3 }, 'temperature'],
    [{ input: 'x', top_logprobs: 21 }, 'top_logprobs'],
    [{ input: 'x', tools: [{ type: 'function', name: 'f' }] }, 'tools'],
    [{ input: 'x', tool_choice: 'required' }, 'tool_choice'],
    [{ input: 'x', text: { format: { type: 'json_object' } } }, 'text.format'],
    [{ input: 'x', text: { format: { type: 'json_schema', name: 'a', schema: {} } } }, 'text.format'],
    [{ input: 'x', text: { verbosity: 'low' } }, 'text.verbosity'],
    [{ input: 'x', reasoning: { summary: 'auto' } }, 'reasoning.summary'],
    [{ input: 'x', reasoning: { effort: 3 } }, 'reasoning.effort'],
    [{ input: 'x', conversation: 'conv_1' }, 'conversation'],
    [{ input: 'x', prompt: { id: 'p' } }, 'prompt'],
    [{ input: 'x', include: ['everything'] }, 'include[0]'],
    [{ input: 'x', metadata: { a: 1 } }, 'metadata.a'],
    [{ input: 'x', truncation: 'middle' }, 'truncation'],
    [{ input: 'x', service_tier: 'flex' }, 'service_tier'],
    [{ input: 'x', background: true, store: false }, 'background'],
    [{ input: 'x', background: true, stream: true }, 'background'],
  ])('%j is refused', async (body, param) => {
    const subject = testApp(says('a'));
    const answer = await subject.post('/v1/responses', body);
    expect(answer.status).toBe(400);
    const { error } = (await answer.json()) as { error: { message: string; param: string } };
    expect(error.param).toBe(param);
    expect(error.message).not.toContain('max_completion_tokens');
    expect(subject.engine.requests).toHaveLength(0);
  });

  test('truncation drops the oldest turns, never instructions', async () => {
    const subject = testApp(says('a'));
    const turn = (role: string, index: number) => ({ role, content: `${index}`.repeat(80) });
    const input = [1, 2, 3, 4, 5].map((index) => turn(index % 2 === 1 ? 'user' : 'assistant', index));
    const body = { input, instructions: 'Keep me.', max_output_tokens: 8 };
    expect((await subject.post('/v1/responses', body)).status).toBe(400);
    expect((await create(subject, { ...body, truncation: 'auto' })).status).toBe('completed');
    const text = prompt(subject);
    expect(text).toContain('Keep me.');
    expect([1, 2, 3, 4, 5].filter((index) => text.includes(`${index}`.repeat(80)))).toEqual([5]);
    expect((await subject.post('/v1/responses', { input: 'x'.repeat(400), truncation: 'auto' })).status).toBe(400);
  });
});

describe('stream', () => {
  test('the events in order, numbered, and their texts', async () => {
    const subject = testApp(says('hello world'));
    const answer = await subject.post('/v1/responses', { input: 'x', stream: true, top_logprobs: 1 });
    expect(answer.headers.get('content-type')).toStartWith('text/event-stream');
    const events = namedEventsOf(await answer.text());
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
    const types = events.map((event) => event.type as string);
    expect(types.filter((type, index) => type !== types[index - 1])).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    const deltas = events.filter((event) => event.type === 'response.output_text.delta');
    expect(deltas.map((event) => event.delta).join('')).toBe('hello world');
    const done = events.find((event) => event.type === 'response.output_text.done');
    expect(done).toMatchObject({ text: 'hello world' });
    expect(deltas.flatMap((event) => event.logprobs)).toEqual(done?.logprobs as object[]);
    const last = events.at(-1)?.response as ResponseJson;
    expect(last).toMatchObject({ status: 'completed', output: [{ content: [{ text: 'hello world' }] }] });
    expect(await json(subject.get(`/v1/responses/${last.id}`))).toEqual(last);
  });

  test('a limit ends with response.incomplete, a dying engine with response.failed', async () => {
    const subject = testApp(says('hello world'));
    const short = await subject.post('/v1/responses', { input: 'x', stream: true, max_output_tokens: 1 });
    expect(namedEventsOf(await short.text()).at(-1)).toMatchObject({
      type: 'response.incomplete',
      response: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
    });
    const dying = testApp(() => [97, new EngineError('engine-dead', 'The engine process ended.')]);
    const events = namedEventsOf(await (await dying.post('/v1/responses', { input: 'x', stream: true })).text());
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      response: { status: 'failed', error: { code: 'server_error', message: 'The engine process ended.' } },
    });
    expect(dying.reported).toHaveLength(1);
  });

  test('leaving it frees the engine and leaves a cancelled response', async () => {
    const subject = testApp(() => [97, 'hold']);
    const answer = await subject.post('/v1/responses', { input: 'x', stream: true });
    const reader = answer.body?.getReader();
    const first = new TextDecoder().decode((await reader?.read())?.value);
    await subject.engine.held();
    await reader?.cancel();
    await subject.engine.idle();
    expect(subject.engine.aborted).toHaveLength(1);
    const id = /"id":"(resp_[0-9a-f]+)"/.exec(first)?.[1];
    expect((await json(subject.get(`/v1/responses/${id}`))).status).toBe('cancelled');
  });

  test('another request can cancel it', async () => {
    const subject = testApp(() => [97, 'hold']);
    const answer = await subject.post('/v1/responses', { input: 'x', stream: true });
    const reader = answer.body?.getReader();
    let text = new TextDecoder().decode((await reader?.read())?.value);
    await subject.engine.held();
    const id = /"id":"(resp_[0-9a-f]+)"/.exec(text)?.[1];
    expect((await json(subject.post(`/v1/responses/${id}/cancel`, {}))).status).toBe('cancelled');
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      text += new TextDecoder().decode(part.value);
    }
    expect(namedEventsOf(text).at(-1)).toMatchObject({
      type: 'response.incomplete',
      response: { status: 'cancelled', output: [{ status: 'incomplete', content: [{ text: 'a' }] }] },
    });
  });
});

describe('stored responses', () => {
  test('a conversation goes on, without the earlier instructions', async () => {
    const subject = testApp(says('hello'));
    const first = await create(subject, { input: 'one', instructions: 'I' });
    const second = await create(subject, { input: 'two', previous_response_id: first.id });
    expect(second.previous_response_id).toBe(first.id);
    expect(prompt(subject)).toBe(
      '<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n',
    );
    await subject.app.handle(new Request(`http://localhost/v1/responses/${first.id}`, { method: 'DELETE' }));
    await create(subject, { input: 'three', previous_response_id: second.id });
    expect(prompt(subject)).toContain('user\none');
  });

  test('input items, in pages', async () => {
    const subject = testApp(says('a'));
    const { id } = await create(subject, { input: ['1', '2', '3'].map((content) => ({ role: 'user', content })) });
    const list = (query: string) => json(subject.get(`/v1/responses/${id}/input_items${query}`));
    const texts = (page: ResponseJson) =>
      (page.data as { content: { text: string }[] }[]).map((item) => item.content[0]?.text);
    expect(texts(await list(''))).toEqual(['3', '2', '1']);
    const page = await list('?order=asc&limit=2');
    expect([texts(page), page.has_more]).toEqual([['1', '2'], true]);
    const rest = await list(`?order=asc&limit=2&after=${page.last_id}`);
    expect([texts(rest), rest.has_more]).toEqual([['3'], false]);
    for (const [query, param] of [
      ['?limit=0', 'limit'],
      ['?limit=x', 'limit'],
      ['?order=up', 'order'],
      ['?after=msg_0', 'after'],
    ]) {
      expect(((await list(query ?? '')).error as unknown as { param: string }).param).toBe(param ?? '');
    }
  });

  test('store: false leaves nothing; deleted is gone; unknown is 404', async () => {
    const subject = testApp(says('a'));
    const unstored = await create(subject, { input: 'x', store: false });
    expect((await subject.get(`/v1/responses/${unstored.id}`)).status).toBe(404);
    const { id } = await create(subject, { input: 'x' });
    const remove = () => subject.app.handle(new Request(`http://localhost/v1/responses/${id}`, { method: 'DELETE' }));
    expect(await json(remove())).toMatchObject({ id, deleted: true });
    expect((await remove()).status).toBe(404);
    expect((await subject.post(`/v1/responses/${id}/cancel`, {})).status).toBe(404);
    expect((await subject.get(`/v1/responses/${id}/input_items`)).status).toBe(404);
    expect((await subject.get('/v1/responses/%E0%A4%A')).status).toBe(404);
    const next = await subject.post('/v1/responses', { input: 'x', previous_response_id: id });
    expect(next.status).toBe(404);
    expect(await next.json()).toMatchObject({ error: { param: 'previous_response_id', type: 'NotFoundError' } });
  });
});

describe('in the background', () => {
  test('queued at once, polled to its end', async () => {
    const subject = testApp(() => ['hold', ...idsOf('hello')]);
    const controller = new AbortController();
    const queued = await json(
      subject.post('/v1/responses', { input: 'x', background: true }, { signal: controller.signal }),
    );
    expect(queued).toMatchObject({ status: 'queued', background: true, output: [] });
    // Leaving does not end it.
    controller.abort();
    const poll = () => json(subject.get(`/v1/responses/${queued.id}`));
    expect((await poll()).status).toBe('queued');
    expect((await subject.get(`/v1/responses/${queued.id}?stream=true`)).status).toBe(400);
    const early = await subject.post('/v1/responses', { input: 'y', previous_response_id: queued.id });
    expect(await early.json()).toMatchObject({ error: { param: 'previous_response_id', code: 400 } });
    await subject.engine.held();
    subject.engine.release();
    await subject.engine.idle();
    let last = await poll();
    while (last.status !== 'completed') {
      await Promise.resolve();
      last = await poll();
    }
    expect(last.output[0]?.content[0]?.text).toBe('hello');
  });

  test('cancelled once or twice', async () => {
    const subject = testApp(() => [97, 'hold']);
    const { id } = await create(subject, { input: 'x', background: true });
    await subject.engine.held();
    expect((await json(subject.post(`/v1/responses/${id}/cancel`, ''))).status).toBe('cancelled');
    await subject.engine.idle();
    expect((await json(subject.post(`/v1/responses/${id}/cancel`, ''))).status).toBe('cancelled');
    expect(subject.engine.aborted).toHaveLength(1);
  });

  test('what ended well is not cancelled afterwards', async () => {
    const subject = testApp(echoes);
    const { id } = await create(subject, { input: 'x' });
    expect((await json(subject.post(`/v1/responses/${id}/cancel`, ''))).status).toBe('completed');
  });

  test('a failure is kept and reported', async () => {
    const subject = testApp(() => [new EngineError('gpu-error', 'Out of memory.')]);
    const { id } = await create(subject, { input: 'x', background: true });
    await subject.engine.idle();
    let last = await json(subject.get(`/v1/responses/${id}`));
    while (last.status === 'queued') {
      await Promise.resolve();
      last = await json(subject.get(`/v1/responses/${id}`));
    }
    expect([last.status, last.error]).toEqual(['failed', { code: 'server_error', message: 'Out of memory.' }]);
    expect(subject.reported).toHaveLength(1);
  });
});
