/**
 * Clients of others against a real server with a tiny model: the AI SDK for OpenAI-compatible servers, and Anthropic's own.
 *
 * What the model says is nonsense; that each client reads it whole, streamed and refused is what counts. Next: `openai.test.ts`;
 * `scripts/clients/openai_client.py` does the same for the official Python client, by hand.
 */
import { describe, expect } from 'bun:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { APICallError, generateText, streamText } from 'ai';
import { type ServerProcess, until } from '../helpers/server-process.ts';
import { serverSuite, tinyModel } from './suite.ts';

const suite = serverSuite({ MODEL_NAME: tinyModel('tiny-llama'), SERVED_MODEL_NAME: 'tiny' });

async function failureOf(answer: PromiseLike<unknown>): Promise<unknown> {
  return answer.then(
    () => null,
    (reason: unknown) => reason,
  );
}

/** Requests that were given up, as the server counts them. */
async function numAborted(server: ServerProcess): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^vllm:request_success_total\{.*finished_reason="abort".*\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

async function expectAborted(server: ServerProcess, before: number): Promise<void> {
  await until(async () => (await numAborted(server)) === before + 1);
  await until(async () => (await server.metric('num_requests_running')) === 0);
}

// Its warnings on every call say that its own defaults mean nothing to text completions.
(globalThis as { AI_SDK_LOG_WARNINGS?: boolean }).AI_SDK_LOG_WARNINGS = false;

describe('@ai-sdk/openai-compatible', () => {
  const name = 'wgslm';
  const providerOf = (server: ServerProcess) =>
    createOpenAICompatible({ name, baseURL: `${server.url}/v1`, apiKey: 'none', includeUsage: true });
  // Random weights would end anywhere.
  const options = {
    temperature: 0,
    maxOutputTokens: 8,
    maxRetries: 0,
    providerOptions: { [name]: { ignore_eos: true } },
  } as const;
  const conversation = [
    { role: 'user' as const, content: 'Hello' },
    { role: 'assistant' as const, content: 'Hi.' },
    { role: 'user' as const, content: [{ type: 'text' as const, text: 'Again?' }] },
  ];

  suite.test('generateText: text, finish and usage', async (server) => {
    const model = providerOf(server).chatModel('tiny');
    const answer = await generateText({ ...options, model, instructions: 'Be brief.', messages: conversation });
    expect(answer.text.length).toBeGreaterThan(0);
    expect(answer.finishReason).toBe('length');
    expect(answer.usage.outputTokens).toBe(8);
    expect(answer.usage.totalTokens).toBe(8 + (answer.usage.inputTokens ?? 0));
    expect(answer.response.modelId).toBe('tiny');
  });

  suite.test('streamText: the pieces join to the whole answer, usage comes last', async (server) => {
    const model = providerOf(server).chatModel('tiny');
    const whole = await generateText({ ...options, model, messages: conversation });
    const stream = streamText({ ...options, model, messages: conversation });
    let text = '';
    for await (const piece of stream.textStream) text += piece;
    expect(text).toBe(whole.text);
    expect(await stream.finishReason).toBe(whole.finishReason);
    expect((await stream.usage).outputTokens).toBe(8);
  });

  suite.test('completions, with a seed and a stop text', async (server) => {
    const model = providerOf(server).completionModel('tiny');
    const ask = { ...options, model, prompt: 'Hello', temperature: 1, seed: 7 };
    const first = await generateText(ask);
    expect((await generateText(ask)).text).toBe(first.text);
    const stop = first.text.slice(-1);
    const stopped = await generateText({ ...ask, stopSequences: [stop] });
    expect(stopped.finishReason).toBe('stop');
    expect(stopped.text).toBe(first.text.slice(0, first.text.indexOf(stop)));
  });

  suite.test('a refusal keeps its status and its message', async (server) => {
    const model = providerOf(server).chatModel('tiny');
    const error = await failureOf(generateText({ ...options, model, prompt: 'x', temperature: 9 }));
    expect(APICallError.isInstance(error)).toBe(true);
    expect((error as APICallError).statusCode).toBe(400);
    expect((error as APICallError).message).toBe('`temperature` must be at most 2.');
    const unknown = await failureOf(
      generateText({ ...options, model: providerOf(server).chatModel('other'), prompt: 'x' }),
    );
    expect((unknown as APICallError).statusCode).toBe(404);
  });

  suite.test('leaving a stream ends its work', async (server) => {
    const model = providerOf(server).chatModel('tiny');
    const before = await numAborted(server);
    const leaving = new AbortController();
    const stream = streamText({
      ...options,
      model,
      prompt: 'x',
      maxOutputTokens: 90,
      abortSignal: leaving.signal,
      onError: () => {},
    });
    for await (const piece of stream.textStream) {
      if (piece === '') continue;
      leaving.abort();
      break;
    }
    await expectAborted(server, before);
  });
});

describe('@anthropic-ai/sdk', () => {
  const clientOf = (server: ServerProcess) => new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
  const body = {
    model: 'tiny',
    max_tokens: 8,
    temperature: 0,
    system: 'Be brief.',
    messages: [
      { role: 'user' as const, content: 'Hello' },
      { role: 'assistant' as const, content: [{ type: 'text' as const, text: 'Hi.' }] },
      { role: 'user' as const, content: 'Again?' },
    ],
    ignore_eos: true,
  };
  const textOf = (block: Anthropic.ContentBlock): string => (block.type === 'text' ? block.text : '');

  suite.test('a whole message counts the tokens that it was counted to have', async (server) => {
    const client = clientOf(server);
    const message = await client.messages.create(body);
    expect([message.type, message.role, message.model, message.stop_reason]).toEqual([
      'message',
      'assistant',
      'tiny',
      'max_tokens',
    ]);
    expect(message.content.map((block) => block.type)).toEqual(['text']);
    expect(message.usage.output_tokens).toBe(8);
    const { model, system, messages } = body;
    const counted = await client.messages.countTokens({ model, system, messages });
    expect(counted.input_tokens).toBe(message.usage.input_tokens);
  });

  suite.test('a stream, by its events and by the accumulator', async (server) => {
    const client = clientOf(server);
    const whole = await client.messages.create(body);
    const types: string[] = [];
    for await (const event of await client.messages.create({ ...body, stream: true })) types.push(event.type);
    expect([types[0], types.at(-1)]).toEqual(['message_start', 'message_stop']);
    const stream = client.messages.stream(body);
    let text = '';
    stream.on('text', (piece) => {
      text += piece;
    });
    const final = await stream.finalMessage();
    expect(final.content.map(textOf)).toEqual(whole.content.map(textOf));
    expect(final.usage.output_tokens).toBe(8);
    expect(text).toBe(whole.content.map(textOf).join(''));
  });

  suite.test('a stop sequence is named', async (server) => {
    const client = clientOf(server);
    const stop = (await client.messages.create(body)).content.map(textOf).join('').trim().slice(-1);
    const message = await client.messages.create({ ...body, stop_sequences: [stop] });
    expect([message.stop_reason, message.stop_sequence]).toEqual(['stop_sequence', stop]);
  });

  suite.test('refusals have their classes', async (server) => {
    const client = clientOf(server);
    // The client's types have no sampling fields any more.
    const tooHot = { ...body, temperature: 9 };
    const wrong = await failureOf(client.messages.create(tooHot));
    expect(wrong).toBeInstanceOf(Anthropic.BadRequestError);
    expect((wrong as InstanceType<typeof Anthropic.APIError>).message).toContain('`temperature`');
    const unknown = await failureOf(client.messages.create({ ...body, model: 'other' }));
    expect(unknown).toBeInstanceOf(Anthropic.NotFoundError);
  });

  suite.test('leaving a stream ends its work', async (server) => {
    const before = await numAborted(server);
    const stream = clientOf(server).messages.stream({ ...body, max_tokens: 90 });
    for await (const event of stream) if (event.type === 'content_block_delta') break;
    stream.abort();
    await expectAborted(server, before);
  });
});
