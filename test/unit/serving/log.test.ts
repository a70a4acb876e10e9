/** Lines of the log: levels, forms, what is said of requests, and that nothing private is said unasked. */
import { describe, expect, test } from 'bun:test';
import { Log, type LogOptions } from '../../../src/serving/log.ts';
import type { RequestLogOptions } from '../../../src/serving/request-log.ts';
import { StatsLine } from '../../../src/serving/stats-line.ts';
import { says, testApp } from '../../helpers/test-app.ts';

function logOf(options: Partial<LogOptions> = {}): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const now = () => new Date(0);
  return { log: new Log({ format: 'text', level: 'info', write: (line) => lines.push(line), now, ...options }), lines };
}

describe('lines', () => {
  test('text shows what people read, JSON what programs read', () => {
    const text = logOf();
    text.log.info('request', { tokens: 3 }, 'three tokens');
    text.log.warning('odd');
    expect(text.lines).toEqual(['three tokens', 'warning: odd']);
    const json = logOf({ format: 'json' });
    json.log.info('request', { tokens: 3 }, 'three tokens');
    expect(json.lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { time: '1970-01-01T00:00:00.000Z', level: 'info', message: 'request', tokens: 3 },
    ]);
  });

  test('levels below the one that is set are left out', () => {
    const { log, lines } = logOf({ level: 'warning' });
    log.info('no');
    log.debug('no');
    log.warning('a');
    log.error(new Error('b'));
    expect(lines).toHaveLength(2);
    expect(lines[1]).toStartWith('error: Error: b\n');
  });

  test('JSON stays on one line whatever it says', () => {
    const { log, lines } = logOf({ format: 'json' });
    log.error(new Error('two\nlines'));
    expect(lines[0]).not.toContain('\n');
  });
});

describe('requests', () => {
  const quiet: RequestLogOptions = { requests: true, outputs: false, deltas: true, maxTextLength: null };
  const chatBody = { messages: [{ role: 'user', content: 'my secret\nquestion' }], request_id: 'r1' };

  async function linesOf(
    options: Partial<RequestLogOptions>,
    body: object = chatBody,
    logOptions: Partial<LogOptions> = {},
    more: { logErrorStack?: boolean } = {},
  ): Promise<string[]> {
    const { log, lines } = logOf(logOptions);
    const { post } = testApp(says('the answer'), { log, requestLog: { ...quiet, ...options }, ...more });
    await (await post('/v1/chat/completions', body, { headers: { authorization: 'Bearer hush' } })).text();
    return lines;
  }

  test('one line with id, model, tokens, end and times', async () => {
    const [line, ...others] = await linesOf({});
    expect(others).toEqual([]);
    expect(line).toMatch(
      /^chatcmpl-r1 \/v1\/chat\/completions test-model: \d+ tokens in, \d+ out, stop, first token after 0\.\d\d s, done after 0\.\d\d s$/,
    );
    expect(line).not.toMatch(/secret|answer|hush/);
  });

  test('the same as an object', async () => {
    const [line = ''] = await linesOf({}, { ...chatBody, n: 2 }, { format: 'json' });
    expect(JSON.parse(line)).toMatchObject({
      message: 'request',
      request_id: 'chatcmpl-r1',
      endpoint: '/v1/chat/completions',
      model: 'test-model',
      stream: false,
      prompt_tokens: expect.any(Number),
      completion_tokens: expect.any(Number),
      finish_reasons: ['stop', 'stop'],
      total_ms: expect.any(Number),
    });
    expect(line).not.toMatch(/secret|answer|hush/);
  });

  test('prompts and answers only when asked for, and cut', async () => {
    const [prompted = ''] = await linesOf({ maxTextLength: 12 });
    expect(prompted).toContain(', prompt "');
    expect(prompted).not.toContain('question');
    const [answered = ''] = await linesOf({ outputs: true });
    expect(answered).toContain('answers ["the answer"]');
    expect(answered).not.toContain('secret');
    const [both = ''] = await linesOf({ outputs: true, maxTextLength: 3 });
    expect(both).toContain('answers ["the"]');
    const [none = ''] = await linesOf({ outputs: true, maxTextLength: 0 });
    expect(none).toContain('answers []');
    const [debug = ''] = await linesOf({}, chatBody, { level: 'debug' });
    expect(debug).toContain('my secret\\nquestion');
  });

  test('pieces of streams with the answers, unless that is turned off', async () => {
    const streamed = { ...chatBody, stream: true };
    const pieces = await linesOf({ outputs: true }, streamed);
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.slice(0, -1).every((line) => line.startsWith('chatcmpl-r1 [0] "'))).toBe(true);
    expect(await linesOf({ outputs: true, deltas: false }, streamed)).toHaveLength(1);
  });

  test('refusals say what was wrong, with the place when asked for', async () => {
    const wrong = { ...chatBody, temperature: 9 };
    expect(await linesOf({}, wrong)).toEqual(['POST /v1/chat/completions 400: `temperature` must be at most 2.']);
    const [stack = ''] = await linesOf({}, wrong, {}, { logErrorStack: true });
    expect(stack).toContain('\n    at ');
  });

  test('nothing at all where requests are not logged', async () => {
    expect(await linesOf({ requests: false })).toEqual([]);
    expect(await linesOf({ requests: false }, { messages: [] })).toEqual([]);
  });
});

test('the regular line comes only while there is work', () => {
  const { log, lines } = logOf();
  const line = new StatsLine(log);
  const idle = {
    numRunning: 0,
    numWaiting: 0,
    numBlocks: 10,
    numFreeBlocks: 10,
    numPreemptions: 0,
    numSteps: 5,
    promptTokens: 100,
    generationTokens: 50,
    prefixQueryTokens: 0,
    prefixHitTokens: 0,
    hostStepMs: 0,
  };
  line.write(idle, 10);
  line.write(idle, 10);
  expect(lines).toEqual([]);
  const busy = { ...idle, numRunning: 2, numWaiting: 1, numFreeBlocks: 5, numSteps: 9, promptTokens: 200 };
  line.write({ ...busy, generationTokens: 75, prefixQueryTokens: 40, prefixHitTokens: 10 }, 10);
  expect(lines).toEqual([
    'Throughput: 10 prompt tokens/s, 2.5 generated tokens/s; 2 running, 1 waiting, KV cache 50 %, prefix cache hits 25 %',
  ]);
});
