/**
 * Answers against OpenAI's own document: whole, streamed, failed. The exceptions stand in `test/helpers/openai-document.ts`, and a test
 * says which answer needs which.
 */
import { describe, expect, test } from 'bun:test';
import { EngineError } from '../../src/engine/types.ts';
import type { Script } from '../helpers/fake-engine.ts';
import { namedEventsOf } from '../helpers/named-events.ts';
import { exceptions, loadOpenAiDocument, type OpenAiDocument } from '../helpers/openai-document.ts';
import { eventsOf, says, testApp, testModel } from '../helpers/test-app.ts';

const document = loadOpenAiDocument();
const CHAT = '/v1/chat/completions';
const COMPLETIONS = '/v1/completions';
const chat = { messages: [{ role: 'user', content: 'hi' }] };
const text = { prompt: 'hi' };
const usage = { stream_options: { include_usage: true } };
const search = { use_beam_search: true, n: 2, max_tokens: 3 };

/** Says a character in pieces, so that a stream has chunks of all kinds. */
const script = says('hello 👍 world');
const dying: Script = () => [97, new EngineError('engine-dead', 'The engine process ended.')];
const everything = {
  settings: { enablePromptTokensDetails: true, enablePerRequestMetrics: true, returnTokensAsTokenIds: true },
};

const chunkException = 'null finish_reason in completion chunks';
const echoException = 'null first entry of echoed logprobs';

interface Case {
  readonly name: string;
  readonly path: string;
  readonly body: object;
  readonly script?: Script;
  readonly overrides?: Parameters<typeof testApp>[1];
  /** Exceptions that the answer needs. */
  readonly needs?: readonly string[];
}

/** What is asked of both routes. */
const options: readonly [string, object][] = [
  ['plain', {}],
  ['several choices that end by length', { n: 3, max_tokens: 2, seed: 1 }],
  ['a stop string', { stop: 'wor' }],
  ['a stop token', { stop_token_ids: [111] }],
  ['token ids', { return_token_ids: true }],
];

const wholeOnly: readonly [string, object][] = [
  ['the best of some', { n: 2, best_of: 3 }],
  ['beam search', search],
  ['log probabilities of the prompt', { prompt_logprobs: 2 }],
];

const whole: readonly Case[] = [
  ...[...options, ...wholeOnly].flatMap(([name, body]) => [
    { name, path: CHAT, body: { ...chat, ...body } },
    { name, path: COMPLETIONS, body: { ...text, ...body } },
  ]),
  { name: 'log probabilities', path: CHAT, body: { ...chat, logprobs: true, top_logprobs: 3 } },
  { name: 'log probabilities', path: COMPLETIONS, body: { ...text, logprobs: 3 } },
  { name: 'all details', path: CHAT, body: { ...chat, logprobs: true }, overrides: everything },
  { name: 'all details', path: COMPLETIONS, body: { ...text, logprobs: 0 }, overrides: everything },
  { name: 'several prompts', path: COMPLETIONS, body: { prompt: ['a', 'b'], n: 2 } },
  { name: 'an echo', path: COMPLETIONS, body: { ...text, echo: true } },
  {
    name: 'an echo with its log probabilities',
    path: COMPLETIONS,
    body: { ...text, echo: true, logprobs: 1 },
    needs: [echoException],
  },
];

const streamed: readonly Case[] = [
  ...options.flatMap(([name, body]) => [
    { name, path: CHAT, body: { ...chat, ...usage, ...body } },
    { name, path: COMPLETIONS, body: { ...text, ...usage, ...body }, needs: [chunkException] },
  ]),
  { name: 'log probabilities', path: CHAT, body: { ...chat, logprobs: true, top_logprobs: 3 } },
  { name: 'log probabilities', path: COMPLETIONS, body: { ...text, logprobs: 3 }, needs: [chunkException] },
  { name: 'all details', path: CHAT, body: { ...chat, ...usage, logprobs: true }, overrides: everything },
  {
    name: 'an echo with its log probabilities',
    path: COMPLETIONS,
    body: { ...text, echo: true, logprobs: 1 },
    needs: [chunkException, echoException],
  },
];

const responses: readonly [string, object, Script?][] = [
  ['plain', { input: 'hi' }],
  ['items', { input: [{ role: 'user', content: [{ type: 'input_text', text: 'hi' }] }], instructions: 'Be brief.' }],
  ['a limit', { input: 'hi', max_output_tokens: 2 }],
  ['log probabilities', { input: 'hi', include: ['message.output_text.logprobs'], top_logprobs: 2 }],
  ['what it was asked with', { input: 'hi', metadata: { a: 'b' }, user: 'me', truncation: 'auto', store: false }],
];

function conformance(openai: OpenAiDocument): void {
  const used = new Set<string>();
  const check = (schema: string, bodies: readonly unknown[], needs: readonly string[] = []): void => {
    const verdicts = bodies.map((body) => ({ ...openai.check(schema, body), body }));
    expect(verdicts.filter(({ problems }) => problems.length > 0)).toEqual([]);
    const names = new Set(verdicts.flatMap((verdict) => verdict.used));
    expect([...names].toSorted()).toEqual([...needs].toSorted());
    for (const name of names) used.add(name);
  };

  for (const one of whole) {
    test(`${one.path}: ${one.name}`, async () => {
      const response = await testApp(one.script ?? script, one.overrides).post(one.path, one.body);
      expect(response.status).toBe(200);
      const schema = one.path === CHAT ? 'CreateChatCompletionResponse' : 'CreateCompletionResponse';
      check(schema, [await response.json()], one.needs);
    });
  }

  for (const one of streamed) {
    test(`${one.path}, streamed: ${one.name}`, async () => {
      const response = await testApp(one.script ?? script, one.overrides).post(one.path, { ...one.body, stream: true });
      const chunks = eventsOf(await response.text());
      expect(chunks.length).toBeGreaterThan(2);
      const schema = one.path === CHAT ? 'CreateChatCompletionStreamResponse' : 'CreateCompletionResponse';
      check(schema, chunks, one.needs);
    });
  }

  test('sequences that were given up', async () => {
    for (const [path, body] of [
      [CHAT, chat],
      [COMPLETIONS, text],
    ] as const) {
      const { post, engine } = testApp(() => [97, 'hold']);
      const leaving = new AbortController();
      const answer = post(path, { ...body, n: 2 }, { signal: leaving.signal });
      await engine.held();
      leaving.abort();
      const schema = path === CHAT ? 'CreateChatCompletionResponse' : 'CreateCompletionResponse';
      check(schema, [await (await answer).json()], ['finish_reason abort']);
    }
  });

  test('models', async () => {
    const { get } = testApp(script);
    check('ListModelsResponse', [await (await get('/v1/models')).json()]);
    check('Model', [await (await get('/v1/models/test-model')).json()]);
  });

  test('errors of every status', async () => {
    const open = testApp(dying);
    const full = testApp(script);
    full.engine.refuseWith = new EngineError('overloaded', 'The queue is full.');
    const locked = testApp(script, { settings: { apiKeys: ['key'], maxRequestBodyBytes: 100 } });
    const key = { headers: { authorization: 'Bearer key' } };
    for (const [status, response] of [
      [400, await open.post(CHAT, { ...chat, temperature: 9 })],
      [400, await open.post(COMPLETIONS, '{')],
      [401, await locked.post(CHAT, chat)],
      [404, await open.post(CHAT, { ...chat, model: 'other' })],
      [404, await open.get('/v1/unknown')],
      [404, await open.get('/v1/responses/resp_unknown')],
      [413, await locked.post(COMPLETIONS, { prompt: 'x'.repeat(200) }, key)],
      [500, await open.post(COMPLETIONS, text)],
      [503, await full.post(CHAT, chat)],
    ] as const) {
      expect(response.status).toBe(status);
      check('ErrorResponse', [await response.json()], ['integer error.code']);
    }
    const events = eventsOf(await (await open.post(CHAT, { ...chat, stream: true })).text());
    check('CreateChatCompletionStreamResponse', events.slice(0, -1));
    check('ErrorResponse', events.slice(-1), ['integer error.code']);
  });

  describe('responses', () => {
    for (const [name, body] of responses) {
      test(name, async () => {
        const { post } = testApp(script);
        check('Response', [await (await post('/v1/responses', body)).json()]);
      });

      test(`${name}, streamed`, async () => {
        const { post } = testApp(script);
        const events = namedEventsOf(await (await post('/v1/responses', { ...body, stream: true })).text());
        expect(events.length).toBeGreaterThan(6);
        check('ResponseStreamEvent', events);
        for (const event of events) check(openai.eventSchema(String(event.type)), [event]);
      });
    }

    test('failed, in the background, stored, listed, deleted', async () => {
      const broken = testApp(dying);
      const events = namedEventsOf(await (await broken.post('/v1/responses', { input: 'x', stream: true })).text());
      for (const event of events) check(openai.eventSchema(String(event.type)), [event]);
      expect(events.at(-1)?.type).toBe('response.failed');

      const { post, get, engine } = testApp(() => [97, 'hold'], { model: testModel() });
      const queued = (await (await post('/v1/responses', { input: 'x', background: true })).json()) as { id: string };
      check('Response', [queued]);
      await engine.held();
      check('Response', [await (await get(`/v1/responses/${queued.id}`)).json()]);
      check('Response', [await (await post(`/v1/responses/${queued.id}/cancel`, '')).json()]);
      const items = {
        input: [
          { role: 'user', content: 'a' },
          { role: 'assistant', content: 'b' },
          { role: 'user', content: 'c' },
        ],
      };
      const answered = testApp(script);
      const { id } = (await (await answered.post('/v1/responses', items)).json()) as { id: string };
      const next = await answered.post('/v1/responses', { input: 'on', previous_response_id: id });
      const { id: nextId } = (await next.json()) as { id: string };
      for (const one of [id, nextId]) {
        check('ResponseItemList', [await (await answered.get(`/v1/responses/${one}/input_items`)).json()]);
      }
    });
  });

  test('finds what is missing, and no exception is left that nothing needs', () => {
    for (const schema of [
      'CreateChatCompletionResponse',
      'CreateCompletionResponse',
      'Model',
      'ErrorResponse',
      'Response',
    ]) {
      expect(openai.check(schema, {}).problems.length).toBeGreaterThan(0);
    }
    expect([...used].toSorted()).toEqual([...new Set(exceptions.map(({ name }) => name))].toSorted());
  });
}

describe("OpenAI's document", () => {
  if (document === null) test.skip('is not at hand (WGSLM_CONFORMANCE)', () => {});
  else conformance(document);
});
