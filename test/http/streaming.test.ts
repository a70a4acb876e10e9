import { describe, expect, test } from 'bun:test';
import { EngineError } from '../../src/engine/types.ts';
import { eventStream, sseFrames } from '../../src/routes/event-stream.ts';
import { echoes, eventsOf, idsOf, says, testApp } from '../helpers/test-app.ts';

const chatBody = { messages: [{ role: 'user', content: 'hi' }], stream: true };

interface Chunk {
  readonly id?: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta?: { readonly content?: string; readonly role?: string };
    readonly text?: string;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: object;
}

const chunksOf = async (response: Response): Promise<Chunk[]> => eventsOf(await response.text()) as unknown as Chunk[];

describe('streams', () => {
  test('chat: role, deltas, finish, usage, done', async () => {
    const { post } = testApp(says('hello world'));
    const response = await post('/v1/chat/completions', { ...chatBody, stream_options: { include_usage: true } });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const chunks = await chunksOf(response);
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' });
    expect(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('')).toBe('hello world');
    expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: 'stop' });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 3 } });
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === undefined)).toBe(true);
  });

  test('completions: each choice of a batch has its text and its finish', async () => {
    const { post } = testApp(echoes);
    const chunks = await chunksOf(await post('/v1/completions', { prompt: ['hello', 'abc'], n: 2, stream: true }));
    const texts = ['', '', '', ''];
    const finishes: (string | null)[] = [null, null, null, null];
    for (const chunk of chunks) {
      for (const choice of chunk.choices) {
        texts[choice.index] += choice.text ?? '';
        finishes[choice.index] = choice.finish_reason ?? finishes[choice.index] ?? null;
      }
    }
    expect(texts).toEqual(['hello', 'hello', 'abc', 'abc']);
    expect(finishes).toEqual(['stop', 'stop', 'stop', 'stop']);
  });

  test('never half a character, and no held-back stop string', async () => {
    const text = 'a👩‍🚀é日 END more';
    const { post } = testApp(says(text));
    const chunks = await chunksOf(await post('/v1/chat/completions', { ...chatBody, stop: [' END'] }));
    const deltas = chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '');
    expect(deltas.join('')).toBe('a👩‍🚀é日');
    for (const delta of deltas) {
      expect(delta).not.toContain('\ufffd');
      expect(delta.isWellFormed()).toBe(true);
    }
  });

  test('streamed and whole answers say the same', async () => {
    for (const text of ['hello world', '', '👍', 'a stop b']) {
      const { post } = testApp(says(text));
      const body = { messages: chatBody.messages, stop: ['stop'] };
      const whole = (await (await post('/v1/chat/completions', body)).json()) as {
        choices: { message: { content: string } }[];
      };
      const chunks = await chunksOf(await post('/v1/chat/completions', { ...body, stream: true }));
      const streamed = chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');
      expect(streamed).toBe(whole.choices[0]?.message.content ?? 'none');
    }
  });

  test('an error after the first byte is an event of its own, then the stream ends', async () => {
    const { post, engine } = testApp(function* () {
      yield* idsOf('hello');
      yield 'hold';
      yield new EngineError('device-lost', 'The GPU device was lost.');
    });
    const response = await post('/v1/chat/completions', { ...chatBody, n: 2 });
    expect(response.status).toBe(200);
    await engine.held();
    engine.release();
    const events = eventsOf(await response.text());
    expect(events.at(-1)).toEqual({
      error: { message: 'The GPU device was lost.', type: 'InternalServerError', param: null, code: 500 },
    });
    expect(events.slice(0, -1).some((event) => JSON.stringify(event).includes('hello'))).toBe(true);
    await engine.idle();
  });

  test('headers come before the first token, and comments while waiting', async () => {
    const { post, engine } = testApp(() => ['hold', 97], { keepAliveMs: 1 });
    const response = await post('/v1/chat/completions', chatBody);
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toStartWith(': keep-alive\n\n');
    engine.release();
    let rest = '';
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      rest += new TextDecoder().decode(part.value);
    }
    expect(rest).toContain('"content":"a"');
    expect(rest).toEndWith('data: [DONE]\n\n');
  });

  test('cancelling the body aborts the request', async () => {
    const { post, engine } = testApp(() => [97, 'hold']);
    const response = await post('/v1/chat/completions', { ...chatBody, n: 3 });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await engine.idle();
    expect(engine.aborted).toHaveLength(3);
  });

  test('the request’s signal aborts it as well', async () => {
    const { post, engine } = testApp(() => ['hold']);
    const controller = new AbortController();
    const response = await post('/v1/chat/completions', chatBody, { signal: controller.signal });
    await engine.held();
    controller.abort();
    await engine.idle();
    expect(await response.text()).toContain('"finish_reason":"abort"');
  });
});

describe('event stream', () => {
  const options = { keepAliveMs: 60_000, maxQueuedChars: 1000, onCancel: () => {}, onStalled: () => {} };

  test('what waits goes out in one piece', async () => {
    async function* source(): AsyncGenerator<string> {
      yield 'a';
      yield 'b';
      yield 'c';
    }
    const reader = eventStream(source(), options).getReader();
    let numReads = 0;
    let text = '';
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      numReads += 1;
      text += new TextDecoder().decode(part.value);
    }
    expect(text).toBe('abc');
    expect(numReads).toBeLessThanOrEqual(3);
  });

  test('a reader that does not read is dropped at the bound', async () => {
    let numMade = 0;
    let isClosed = false;
    const stalled = Promise.withResolvers<void>();
    async function* endless(): AsyncGenerator<string> {
      try {
        for (;;) {
          numMade += 1;
          yield 'x'.repeat(100);
        }
      } finally {
        isClosed = true;
      }
    }
    const stream = eventStream(endless(), { ...options, onStalled: stalled.resolve });
    await stalled.promise;
    await Promise.resolve();
    expect(isClosed).toBe(true);
    expect(numMade).toBeLessThan(50);
    await expect(new Response(stream).text()).rejects.toThrow('too slow');
  });

  /** A source that gives some texts, each a turn after the other, and then waits for its end. */
  function silentAfter(...texts: string[]): { source: AsyncGenerator<string>; end: () => void } {
    const ended = Promise.withResolvers<void>();
    async function* source(): AsyncGenerator<string> {
      for (const text of texts) {
        yield text;
        await new Promise((resolve) => setImmediate(resolve));
      }
      await ended.promise;
    }
    return { source: source(), end: ended.resolve };
  }

  test('a reader that takes nothing for too long is dropped, however little waits', async () => {
    const stalled = Promise.withResolvers<void>();
    // The first piece fills the stream's own buffer; the second has to wait.
    const { source, end } = silentAfter('a', 'b');
    const stream = eventStream(source, {
      ...options,
      slowReaderTimeoutMs: 3,
      onStalled: stalled.resolve,
      onCancel: end,
    });
    await stalled.promise;
    await expect(new Response(stream).text()).rejects.toThrow('too slow');
  });

  test('silence of the source is no fault of the reader', async () => {
    let numStalls = 0;
    const { source, end } = silentAfter('a');
    const reader = eventStream(source, {
      ...options,
      keepAliveMs: 4,
      slowReaderTimeoutMs: 3,
      onStalled: () => {
        numStalls += 1;
      },
    }).getReader();
    let text = '';
    for (let numReads = 0; numReads < 4; numReads++) text += new TextDecoder().decode((await reader.read()).value);
    expect(text).toStartWith('a: keep-alive\n\n: keep-alive\n\n');
    expect(numStalls).toBe(0);
    end();
    expect((await reader.read()).done).toBe(true);
  });

  test('frames end with [DONE] even after an error', async () => {
    async function* failing(): AsyncGenerator<object[]> {
      yield [{ a: 1 }, { b: 2 }];
      throw new Error('broken');
    }
    const frames: string[] = [];
    for await (const frame of sseFrames(failing())) frames.push(frame);
    expect(frames).toEqual([
      'data: {"a":1}\n\ndata: {"b":2}\n\n',
      'data: {"error":{"message":"Internal server error.","type":"InternalServerError","param":null,"code":500}}\n\n',
      'data: [DONE]\n\n',
    ]);
  });
});
