/** Job input -> outputs, without a queue: batches, OpenAI answers, failures. */
import { describe, expect, test } from 'bun:test';
import { EngineError } from '../../../src/engine/types.ts';
import { failureText } from '../../../src/jobs/job.ts';
import type { NativeOutput } from '../../../src/jobs/native.ts';
import { echoes, idsOf, says, testModel, tokenizer } from '../../helpers/test-app.ts';
import { jobSetup } from './job-setup.ts';

async function failure(outputs: Promise<unknown>): Promise<{ message: string; param: string | null; code: number }> {
  const error = await outputs.then(
    () => {
      throw new Error('The job did not fail.');
    },
    (reason: unknown) => reason,
  );
  return (JSON.parse(failureText(error)) as { error: { message: string; param: string | null; code: number } }).error;
}

describe('native jobs', () => {
  const text = 'abcdefghijklmnopqrstuvwxyz';

  test('a whole answer is one output', async () => {
    const { outputs } = jobSetup(says('hello world'));
    expect(await outputs({ prompt: 'hi' })).toEqual([
      { choices: [{ tokens: ['hello world'] }], usage: { input: idsOf('hi').length, output: 3 } },
    ]);
  });

  test('a stream is cut into growing batches with the usage so far; the rest is flushed', async () => {
    const { outputs } = jobSetup(says(text));
    const found = (await outputs({
      prompt: 'hi',
      stream: true,
      sampling_params: { max_tokens: 100 },
    })) as NativeOutput[];
    // 26 letters and the end token.
    expect(found.map((output) => output.choices[0]?.tokens.length)).toEqual([1, 3, 9, 14]);
    expect(found.map((output) => output.usage.output)).toEqual([1, 4, 13, 27]);
    expect(found.flatMap((output) => output.choices[0]?.tokens ?? []).join('')).toBe(text);
  });

  test('the counter spans all choices', async () => {
    const { outputs } = jobSetup(says('abcdef'));
    const found = (await outputs({
      prompt: 'hi',
      stream: true,
      sampling_params: { n: 2, seed: 1 },
      min_batch_size: 2,
      batch_size_growth_factor: 2,
    })) as NativeOutput[];
    const counts = found.map((output) => output.choices.reduce((sum, choice) => sum + choice.tokens.length, 0));
    expect(counts).toEqual([2, 4, 8]);
    for (const index of [0, 1]) {
      expect(found.flatMap((output) => output.choices[index]?.tokens ?? []).join('')).toBe('abcdef');
    }
  });

  test('tokens that arrive together are still told apart', async () => {
    const { engine, handler } = jobSetup(says('abcd'));
    const iterator = handler({ id: 'a', input: { prompt: 'x', stream: true } }, new AbortController().signal)[
      Symbol.asyncIterator
    ]();
    const first = (await iterator.next()).value as NativeOutput;
    await engine.idle();
    const second = (await iterator.next()).value as NativeOutput;
    expect([first, second].map((output) => output.choices[0]?.tokens)).toEqual([['a'], ['b', 'c', 'd']]);
  });

  test('16 tokens and temperature 1 where nothing is said', async () => {
    const { outputs, engine } = jobSetup(says(text));
    const [output] = (await outputs({ prompt: 'hi' })) as NativeOutput[];
    expect(output).toEqual({ choices: [{ tokens: [text.slice(0, 16)] }], usage: { input: 2, output: 16 } });
    expect(engine.requests[0]?.params).toMatchObject({ maxTokens: 16, temperature: 1, topK: 0, topP: 1, minP: 0 });
  });

  test('the checkpoint’s temperature comes before the fallback', async () => {
    const { outputs, engine } = jobSetup(says('a'), {
      deps: { model: testModel({ defaults: { temperature: 0.25 } }) },
    });
    await outputs({ prompt: 'hi' });
    await outputs({ messages: [{ role: 'user', content: 'hi' }] });
    expect(engine.requests.map((request) => request.params.temperature)).toEqual([0.25, 0.25]);
  });

  test('messages and templated prompts go through the chat template; a bare prompt does not', async () => {
    const { outputs, engine } = jobSetup(echoes);
    await outputs({ prompt: 'hi' });
    await outputs({ prompt: 'hi', apply_chat_template: true });
    await outputs({ messages: [{ role: 'user', content: 'hi' }] });
    await outputs({ messages: 'hi' });
    const prompts = engine.requests.map((request) =>
      tokenizer.decode([...request.promptTokenIds], { skipSpecialTokens: false }),
    );
    const templated = '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n';
    expect(prompts).toEqual(['hi', templated, templated, 'hi']);
  });

  test('every sampling parameter of the table arrives or is refused by name', async () => {
    const { outputs, engine } = jobSetup(says('a'));
    const params = {
      n: 1,
      best_of: 1,
      presence_penalty: 0.5,
      frequency_penalty: 0.25,
      repetition_penalty: 1.5,
      temperature: 0.5,
      top_p: 0.75,
      top_k: 40,
      min_p: 0.125,
      use_beam_search: false,
      length_penalty: 1.0,
      early_stopping: false,
      stop: ['END'],
      stop_token_ids: [7],
      ignore_eos: true,
      max_tokens: 3,
      skip_special_tokens: false,
      spaces_between_special_tokens: true,
    };
    for (const prompt of [{ prompt: 'a' }, { messages: [{ role: 'user', content: 'a' }] }]) {
      await outputs({ ...prompt, sampling_params: params });
      expect(engine.requests.at(-1)?.params).toMatchObject({
        presencePenalty: 0.5,
        frequencyPenalty: 0.25,
        repetitionPenalty: 1.5,
        temperature: 0.5,
        topP: 0.75,
        topK: 40,
        minP: 0.125,
        stopTokenIds: [7],
        ignoreEos: true,
        maxTokens: 3,
      });
      const bad: readonly [string, unknown][] = [
        ['top_q', 1],
        ['messages', []],
        ['guided_json', 3],
        ['temperature', -1],
        ['max_tokens', 0],
        ['logits_processors', ['x']],
        ['detokenize', false],
      ];
      for (const [name, value] of bad) {
        const { param, code } = await failure(outputs({ ...prompt, sampling_params: { [name]: value } }));
        expect([name, param, code]).toEqual([name, name, 400]);
      }
    }
  });

  test('a conversation without a template fails with the reason', async () => {
    const { outputs } = jobSetup(says('a'), { deps: { model: testModel({ template: null }) } });
    const { message, code } = await failure(outputs({ messages: [{ role: 'user', content: 'a' }] }));
    expect(message).toContain('chat template');
    expect(code).toBe(400);
  });

  test('an engine that fails half way fails the job', async () => {
    const script = () => [...idsOf('ab'), new EngineError('device-lost', 'The GPU is gone.')];
    const { outputs } = jobSetup(script);
    expect(await failure(outputs({ prompt: 'a', stream: true }))).toMatchObject({
      message: 'The GPU is gone.',
      code: 500,
    });
  });

  test('an answer that the engine gave up is no answer', async () => {
    const { outputs, engine } = jobSetup(() => [...idsOf('ab'), 'hold' as const]);
    const found = failure(outputs({ prompt: 'a' }));
    await engine.held();
    engine.abort(engine.requests[0]?.id ?? '');
    expect((await found).message).toBe('The generation was aborted.');
  });

  test('the signal ends the generation', async () => {
    const { handler, engine } = jobSetup(() => [...idsOf('ab'), 'hold' as const]);
    const abort = new AbortController();
    const outputs = Array.fromAsync(handler({ id: 'a', input: { prompt: 'a' } }, abort.signal));
    await engine.held();
    abort.abort();
    await outputs;
    await engine.idle();
    expect(engine.aborted).toHaveLength(1);
  });

  test('a job waits while the model is being loaded', async () => {
    const { engine, outputs } = jobSetup(says('a'));
    engine.state = 'loading';
    let load: () => void = () => {};
    engine.ready = () =>
      new Promise((resolve) => {
        load = () => {
          engine.state = 'ready';
          resolve(engine.info);
        };
      });
    const found = outputs({ prompt: 'a' });
    await Promise.resolve();
    expect(engine.requests).toHaveLength(0);
    load();
    expect(await found).toHaveLength(1);
  });
});

describe('OpenAI answers as jobs', () => {
  const chat = { messages: [{ role: 'user', content: 'hi' }] };

  test('a whole answer is one output and carries the job’s id', async () => {
    const { outputs } = jobSetup(says('hello'));
    expect(await outputs({ openai_route: '/v1/chat/completions', openai_input: chat })).toMatchObject([
      { id: 'chatcmpl-job-1', object: 'chat.completion', choices: [{ message: { content: 'hello' } }] },
    ]);
  });

  test('a stream is event-stream text in growing batches', async () => {
    const { outputs } = jobSetup(says('abcdefghij'));
    const found = (await outputs({ openai_input: { ...chat, stream: true } })) as string[];
    const frames = found.map((text) => text.split('\n\n').filter((frame) => frame !== ''));
    // Tokens that come together share a chunk, so that only the first sizes are certain.
    expect(frames.slice(0, 2).map((batch) => batch.length)).toEqual([1, 3]);
    expect(found.join('').endsWith('data: [DONE]\n\n')).toBe(true);
    const content = frames
      .flat()
      .filter((frame) => frame !== 'data: [DONE]')
      .map((frame) => JSON.parse(frame.slice(6)) as { choices: { delta: { content?: string } }[] })
      .map((chunk) => chunk.choices[0]?.delta.content ?? '');
    expect(content.join('')).toBe('abcdefghij');
  });

  test('without raw output a stream is lists of chunks', async () => {
    const { outputs } = jobSetup(says('abc'), { jobs: { rawOpenaiOutput: false } });
    const found = (await outputs({ openai_route: '/v1/completions', openai_input: { prompt: 'x', stream: true } })) as {
      object: string;
    }[][];
    expect(found[0]).toHaveLength(1);
    expect(found.flat().length).toBeGreaterThan(2);
    expect(found.flat().every((chunk) => chunk.object === 'text_completion')).toBe(true);
  });

  test('models, and any other route', async () => {
    const { outputs } = jobSetup(says('a'));
    expect(await outputs({ openai_route: '/v1/models', openai_input: {} })).toMatchObject([
      { object: 'list', data: [{ id: 'test-model' }, { id: 'alias/of-it' }] },
    ]);
    expect(await outputs({ route: '/tokenize', body: { prompt: 'hello' } })).toMatchObject([{ count: 1 }]);
    expect((await outputs({ route: '/metrics' }))[0]).toContain('vllm:');
  });

  test('native output in OpenAI’s form', async () => {
    const { outputs } = jobSetup(says('hello'), { jobs: { nativeOutput: 'openai' } });
    expect(await outputs({ prompt: 'hi', sampling_params: { max_tokens: 2 } })).toMatchObject([
      { object: 'text_completion', choices: [{ text: 'hello' }] },
    ]);
    expect(await outputs({ messages: chat.messages })).toMatchObject([{ object: 'chat.completion' }]);
  });

  test('a route’s refusal is the job’s failure', async () => {
    const { outputs } = jobSetup(says('a'));
    expect(await failure(outputs({ openai_input: { ...chat, model: 'other' } }))).toMatchObject({
      code: 404,
      param: 'model',
    });
    expect(await failure(outputs({ openai_route: '/v1/nothing', openai_input: chat }))).toMatchObject({ code: 404 });
    for (const route of ['//elsewhere/v1/models', '/\\elsewhere']) {
      expect(await failure(outputs({ route }))).toMatchObject({ code: 400, param: 'route' });
    }
  });

  test('an error inside a stream is passed on and fails the job', async () => {
    const { handler } = jobSetup(() => [...idsOf('ab'), new EngineError('gpu-error', 'Out of memory.')]);
    const seen: unknown[] = [];
    const run = async (): Promise<void> => {
      const job = { id: 'a', input: { openai_input: { ...chat, stream: true } } };
      for await (const output of handler(job, new AbortController().signal)) seen.push(output);
    };
    expect(await failure(run())).toMatchObject({ message: 'Out of memory.', code: 500 });
    expect(seen.join('')).toContain('Out of memory.');
  });

  test('leaving a stream ends the generation', async () => {
    const { handler, engine } = jobSetup(() => [...idsOf('abcd'), 'hold' as const]);
    const abort = new AbortController();
    const outputs = handler({ id: 'a', input: { openai_input: { ...chat, stream: true } } }, abort.signal);
    const iterator = outputs[Symbol.asyncIterator]();
    await iterator.next();
    await engine.held();
    abort.abort();
    await iterator.return?.();
    await engine.idle();
    expect(engine.aborted).toHaveLength(1);
  });
});
