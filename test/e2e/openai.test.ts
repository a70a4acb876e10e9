/**
 * The official client against a real server with a tiny model: what it says is nonsense, how it says it must be right.
 *
 * The model has f32 weights, so that greedy text must not depend on what else is in the batch.
 */
import { describe, expect } from 'bun:test';
import type OpenAI from 'openai';
import { APIError, APIUserAbortError, BadRequestError, NotFoundError } from 'openai';
import { type ServerProcess, until } from '../helpers/server-process.ts';
import { serverSuite, tinyModel } from './suite.ts';

const suite = serverSuite({ MODEL_NAME: tinyModel('tiny-llama'), SERVED_MODEL_NAME: 'tiny,also-tiny' });
const model = 'tiny';
const user = (content: string) => [{ role: 'user' as const, content }];
/** Beyond OpenAI's fields; random weights would end anywhere. */
const endless = { ignore_eos: true };
const greedy = { ...endless, model, temperature: 0 };

const PROMPTS = ['Hello', 'What is 2 + 2?', 'ab', 'the the the', 'Über 💡', '1 2 3 4 5 6 7 8 9', 'x', 'Say nothing.'];

async function tokenIds(server: ServerProcess, prompt: string): Promise<number[]> {
  const response = await fetch(`${server.url}/tokenize`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt }),
  });
  return ((await response.json()) as { tokens: number[] }).tokens;
}

async function greedyText(client: OpenAI, prompt: string, maxTokens = 24): Promise<string> {
  const answer = await client.completions.create({ ...greedy, prompt, max_tokens: maxTokens });
  return answer.choices[0]?.text ?? '';
}

async function streamedText(client: OpenAI, prompt: string, extra: object = {}): Promise<string> {
  const stream = await client.completions.create({ ...greedy, prompt, max_tokens: 24, ...extra, stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
  return text;
}

async function failureOf(answer: Promise<unknown>): Promise<APIError> {
  const error = await answer.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(APIError);
  return error as APIError;
}

async function expectAllFree(server: ServerProcess): Promise<void> {
  await until(async () => (await server.metric('num_requests_running')) === 0);
  await until(async () => (await server.metric('num_requests_waiting')) === 0);
  await until(async () => (await server.metric('kv_cache_usage_perc')) === 0);
}

describe('chat', () => {
  suite.test('a whole answer counts its tokens and says why it ended', async (_, client) => {
    const answer = await client.chat.completions.create({
      ...greedy,
      messages: user('Hello'),
      max_completion_tokens: 8,
    });
    expect(answer.object).toBe('chat.completion');
    expect(answer.model).toBe(model);
    expect(answer.choices.map((choice) => [choice.index, choice.finish_reason, choice.message.role])).toEqual([
      [0, 'length', 'assistant'],
    ]);
    expect(answer.usage?.completion_tokens).toBe(8);
    expect(answer.usage?.total_tokens).toBe(8 + (answer.usage?.prompt_tokens ?? 0));
  });

  suite.test('the deltas of a stream join to the whole answer', async (_, client) => {
    for (const prompt of PROMPTS) {
      const body = { ...greedy, messages: user(prompt), max_tokens: 24 };
      const whole = await client.chat.completions.create(body);
      const stream = await client.chat.completions.create({
        ...body,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = '';
      let finish: string | null = null;
      let usage: unknown = null;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? '';
        finish = chunk.choices[0]?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
      }
      expect(text).toBe(whole.choices[0]?.message.content ?? '');
      expect(finish).toBe(whole.choices[0]?.finish_reason ?? '');
      expect(usage).toEqual(whole.usage);
    }
  });

  suite.test('log probabilities: the sampled token first when greedy, the others in order', async (_, client) => {
    const answer = await client.chat.completions.create({
      ...greedy,
      messages: user('Hello'),
      max_tokens: 6,
      logprobs: true,
      top_logprobs: 4,
    });
    const positions = answer.choices[0]?.logprobs?.content ?? [];
    expect(positions.length).toBe(6);
    for (const position of positions) {
      const logprobs = position.top_logprobs.map((entry) => entry.logprob);
      expect(logprobs.length).toBe(4);
      expect(logprobs).toEqual([...logprobs].sort((a, b) => b - a));
      expect(position.logprob).toBe(logprobs[0] ?? 1);
      expect(position.logprob).toBeLessThan(0);
    }
  });
});

describe('completions', () => {
  suite.test('text, texts, ids and lists of ids are the same prompt', async (server, client) => {
    const [first = '', second = ''] = PROMPTS;
    const ids = [await tokenIds(server, first), await tokenIds(server, second)];
    const ask = async (prompt: OpenAI.CompletionCreateParams['prompt']) => {
      const answer = await client.completions.create({ ...greedy, prompt, max_tokens: 12 });
      return answer.choices.map((choice) => choice.text);
    };
    const texts = await ask([first, second]);
    expect(texts.length).toBe(2);
    expect(await ask(first)).toEqual(texts.slice(0, 1));
    expect(await ask(ids[0] ?? [])).toEqual(texts.slice(0, 1));
    expect(await ask(ids)).toEqual(texts);
  });

  suite.test('log probabilities have one entry per token', async (_, client) => {
    const answer = await client.completions.create({ ...greedy, prompt: 'Hello', max_tokens: 5, logprobs: 2 });
    const logprobs = answer.choices[0]?.logprobs;
    expect(logprobs?.tokens?.length).toBe(5);
    expect(logprobs?.token_logprobs?.length).toBe(5);
    expect(logprobs?.text_offset?.[0]).toBe(0);
  });

  suite.test('a stop string ends the text before itself, whole and streamed', async (_, client) => {
    const texts = await Promise.all(
      PROMPTS.map(async (prompt) => ({ prompt, text: await greedyText(client, prompt) })),
    );
    // Two plain characters that stand somewhere behind the first one.
    const found = texts.flatMap(({ prompt, text }) => {
      const stop = /^.+?([ -~]{2})/s.exec(text)?.[1];
      return stop === undefined ? [] : [{ prompt, stop, before: text.slice(0, text.indexOf(stop)) }];
    });
    expect(found.length).toBeGreaterThan(0);
    for (const { prompt, stop, before } of found) {
      const answer = await client.completions.create({
        ...greedy,
        prompt,
        max_tokens: 24,
        stop: [stop, 'not in there'],
      });
      expect([answer.choices[0]?.text, answer.choices[0]?.finish_reason]).toEqual([before, 'stop']);
      expect(await streamedText(client, prompt, { stop })).toBe(before);
    }
  });

  suite.test('max_tokens ends with length', async (_, client) => {
    for (const maxTokens of [1, 7]) {
      const answer = await client.completions.create({ ...greedy, prompt: 'Hello', max_tokens: maxTokens });
      expect(answer.choices[0]?.finish_reason).toBe('length');
      expect(answer.usage?.completion_tokens).toBe(maxTokens);
    }
  });

  suite.test('a context that is full ends with length', async (server, client) => {
    const ids = (await tokenIds(server, 'a b c d e f g h '.repeat(40))).slice(0, server.contextTokens - 3);
    const answer = await client.completions.create({ ...greedy, prompt: ids, max_tokens: 3 });
    expect(answer.choices[0]?.finish_reason).toBe('length');
    expect(answer.usage?.total_tokens).toBe(server.contextTokens);
  });
});

describe('sampling', () => {
  const random = { ...endless, model, prompt: 'Hello', max_tokens: 16, temperature: 1 };
  const textsOf = async (client: OpenAI, extra: object) =>
    (await client.completions.create({ ...random, ...extra })).choices.map((choice) => choice.text);

  suite.test('n choices of one seed differ from each other and come again', async (_, client) => {
    const first = await textsOf(client, { n: 2, seed: 7 });
    expect(new Set(first).size).toBe(2);
    expect(await textsOf(client, { n: 2, seed: 7 })).toEqual(first);
  });

  suite.test('a seed gives the same text in any company, another seed another one', async (_, client) => {
    const alone = await textsOf(client, { seed: 3 });
    const company = PROMPTS.map((prompt, seed) => textsOf(client, { prompt, seed: seed + 100 }));
    expect(await textsOf(client, { seed: 3 })).toEqual(alone);
    await Promise.all(company);
    expect(await textsOf(client, { seed: 4 })).not.toEqual(alone);
  });

  suite.test('32 requests at once say greedily what each says alone', async (_, client) => {
    const prompts = Array.from({ length: 32 }, (_, i) => `${PROMPTS[i % PROMPTS.length]} ${i}`);
    const together = await Promise.all(prompts.map((prompt) => greedyText(client, prompt)));
    const alone: string[] = [];
    for (const prompt of prompts) alone.push(await greedyText(client, prompt));
    expect(together).toEqual(alone);
  });
});

describe('models', () => {
  suite.test('all served names are listed and answer', async (_, client) => {
    const ids: string[] = [];
    for await (const entry of client.models.list()) ids.push(entry.id);
    expect(ids).toEqual(['tiny', 'also-tiny']);
    expect((await client.models.retrieve('also-tiny')).id).toBe('also-tiny');
    const answer = await client.completions.create({ ...greedy, model: 'also-tiny', prompt: 'x', max_tokens: 1 });
    expect(answer.model).toBe('tiny');
  });
});

describe('errors', () => {
  suite.test('an unknown model is 404', async (_, client) => {
    const error = await failureOf(client.completions.create({ ...greedy, model: 'other', prompt: 'x' }));
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error.param).toBe('model');
  });

  suite.test('a prompt that is too long is 400, also when streaming', async (_, client) => {
    const messages = user('word '.repeat(2000));
    for (const stream of [false, true]) {
      const error = await failureOf(client.chat.completions.create({ model, messages, stream }));
      expect(error).toBeInstanceOf(BadRequestError);
      expect(error.message).toContain('maximum context length');
    }
  });

  suite.test('a bad field is 400 and named', async (_, client) => {
    const error = await failureOf(client.chat.completions.create({ model, messages: user('x'), temperature: 3 }));
    expect([error.status, error.param, error.type]).toEqual([400, 'temperature', 'BadRequestError']);
  });
});

describe('leaving', () => {
  const long = { ...greedy, messages: user('x'), max_tokens: 120 };

  suite.test('leaving a stream frees its blocks', async (server, client) => {
    const stream = await client.chat.completions.create({ ...long, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    await expectAllFree(server);
  });

  suite.test('leaving a whole answer frees its blocks', async (server, client) => {
    const controller = new AbortController();
    const body = { ...long, n: 8, temperature: 1 };
    const failure = failureOf(client.chat.completions.create(body, { signal: controller.signal }));
    await Promise.race([failure, until(async () => (await server.metric('num_requests_running')) > 0)]);
    controller.abort();
    expect(await failure).toBeInstanceOf(APIUserAbortError);
    await expectAllFree(server);
  });
});
