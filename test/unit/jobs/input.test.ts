/** The forms of a job's input, in the order in which they are tried, and the sizes of batches. */
import { describe, expect, test } from 'bun:test';
import { BatchSize } from '../../../src/jobs/batch-size.ts';
import { parseJobInput } from '../../../src/jobs/input.ts';
import { defaultJobSettings } from '../../../src/jobs/job-settings.ts';

const openaiSettings = { ...defaultJobSettings, nativeOutput: 'openai' as const };

describe('forms of input', () => {
  const cases: readonly [string, unknown, unknown][] = [
    [
      'an OpenAI body alone is a chat',
      { openai_input: { messages: [] } },
      { method: 'POST', route: '/v1/chat/completions', body: { messages: [] } },
    ],
    ['a bare OpenAI route is read', { openai_route: '/v1/models' }, { method: 'GET', route: '/v1/models', body: null }],
    [
      'an empty OpenAI body is none',
      { openai_route: '/v1/models', openai_input: {} },
      { method: 'GET', route: '/v1/models', body: null },
    ],
    [
      'an OpenAI route with its body',
      { openai_route: '/v1/completions', openai_input: { prompt: 'a' } },
      { method: 'POST', route: '/v1/completions', body: { prompt: 'a' } },
    ],
    ['a route without a body is read', { route: '/v1/models' }, { method: 'GET', route: '/v1/models', body: null }],
    [
      'a route with a body is sent it',
      { route: '/tokenize', body: { prompt: 'a' } },
      { method: 'POST', route: '/tokenize', body: { prompt: 'a' } },
    ],
    [
      'a method that is named wins',
      { route: '/v1/responses/r1', method: 'delete' },
      { method: 'DELETE', route: '/v1/responses/r1', body: null },
    ],
    [
      'messages become a chat with stream false',
      { messages: [{ role: 'user', content: 'a' }] },
      {
        method: 'POST',
        route: '/v1/chat/completions',
        body: { messages: [{ role: 'user', content: 'a' }], stream: false },
      },
    ],
    [
      'a prompt becomes a completion with its sampling parameters',
      { prompt: 'a', sampling_params: { max_tokens: 5, temperature: 0 }, stream: true },
      {
        method: 'POST',
        route: '/v1/completions',
        body: { prompt: 'a', max_tokens: 5, temperature: 0, stream: true },
      },
    ],
    [
      'the platform’s prefix is taken off',
      { openai_route: '/openai/v1/models' },
      { method: 'GET', route: '/v1/models', body: null },
    ],
  ];
  for (const [name, input, expected] of cases) {
    test(name, () => {
      expect(parseJobInput(input, openaiSettings)).toEqual({ kind: 'route', ...(expected as object) } as never);
    });
  }

  test('nothing that could be done', () => {
    for (const input of [{}, { stream: true }]) {
      expect(() => parseJobInput(input, defaultJobSettings)).toThrow('Job input must contain one of');
    }
    for (const input of [null, 'text', [1]])
      expect(() => parseJobInput(input, defaultJobSettings)).toThrow('JSON object');
    expect(() => parseJobInput({ prompt: 1 }, defaultJobSettings)).toThrow(
      'Input must be a string or a list of messages.',
    );
    expect(() => parseJobInput({ prompt: 'a', stream: 'yes' }, defaultJobSettings)).toThrow('`stream`');
    expect(() => parseJobInput({ prompt: 'a', max_batch_size: -1 }, defaultJobSettings)).toThrow('`max_batch_size`');
  });

  test('messages win over a prompt; sizes of 0 mean the defaults', () => {
    const input = { prompt: 'a', messages: [{ role: 'user', content: 'b' }], min_batch_size: 0, max_batch_size: 7 };
    expect(parseJobInput(input, defaultJobSettings)).toMatchObject({
      kind: 'native',
      prompt: { messages: [{ role: 'user', content: 'b' }] },
      batchGrowth: { max: 7, min: 1, growthFactor: 3 },
    });
  });
});

describe('sizes of batches', () => {
  const sizes = (max: number, min: number, growthFactor: number, numTokens: number): number[] => {
    const size = new BatchSize({ max, min, growthFactor });
    const found: number[] = [];
    let count = 0;
    for (let token = 0; token < numTokens; token++) {
      count += 1;
      if (!size.add(1)) continue;
      found.push(count);
      count = 0;
    }
    return [...found, count];
  };

  test('grow to the largest', () => expect(sizes(50, 1, 3, 145)).toEqual([1, 3, 9, 27, 50, 50, 5]));
  test('a fraction is reached, not passed', () => expect(sizes(10, 1, 1.5, 20)).toEqual([1, 2, 3, 4, 6, 4]));
  test('do not grow without room or reason', () => {
    expect(sizes(4, 4, 3, 9)).toEqual([4, 4, 1]);
    expect(sizes(4, 1, 1, 9)).toEqual([4, 4, 1]);
  });
});
