/** The queue worker's own rules, where it goes beyond the recordings. */
import { describe, expect, test } from 'bun:test';
import { EngineError, type EngineInfo } from '../../../src/engine/types.ts';
import { JobFailure } from '../../../src/jobs/job.ts';
import { createJobLog, jobLogLevel } from '../../../src/jobs/worker/job-log.ts';
import { findTestInput, runLocalTest } from '../../../src/jobs/worker/local-test.ts';
import { fibonacciMs, systemPace } from '../../../src/jobs/worker/pace.ts';
import { queueSettings } from '../../../src/jobs/worker/queue-settings.ts';
import { resultUrl, streamUrl, takeUrl } from '../../../src/jobs/worker/queue-urls.ts';
import { QuickPace, startBefore, toldHandler } from './queue-setup.ts';
import { ScriptedQueue } from './scripted-queue.ts';

const job = { id: 'job-1', input: { yields: ['a'] } };
const environment = {
  RUNPOD_POD_ID: 'pod',
  RUNPOD_AI_API_KEY: 'key',
  RUNPOD_WEBHOOK_GET_JOB: 'http://q/job-take/$ID?a=b',
  RUNPOD_WEBHOOK_POST_OUTPUT: 'http://q/job-done/$RUNPOD_POD_ID/$ID?a=b',
  RUNPOD_WEBHOOK_POST_STREAM: 'http://q/job-stream/$RUNPOD_POD_ID/$ID?a=b',
  RUNPOD_WEBHOOK_PING: 'http://q/ping/$RUNPOD_POD_ID',
};

describe('settings', () => {
  test('no queue in the environment, no worker', () => {
    expect(queueSettings({})).toBeNull();
    expect(() => queueSettings({ RUNPOD_WEBHOOK_GET_JOB: 'http://q' })).toThrow('RUNPOD_WEBHOOK_POST_OUTPUT');
  });

  test('placeholders are filled in', () => {
    const settings = queueSettings(environment);
    if (settings === null) throw new Error('no settings');
    expect(takeUrl(settings, 1, true)).toBe('http://q/job-take/pod?a=b&job_in_progress=1');
    expect(takeUrl(settings, 3, false)).toBe('http://q/job-take-batch/pod?a=b&batch_size=3&job_in_progress=0');
    expect(resultUrl(settings, 'x')).toBe('http://q/job-done/pod/x?a=b&isStream=true');
    expect(streamUrl(settings, 'x/?&')).toBe('http://q/job-stream/pod/x%2F%3F%26?a=b&isStream=false');
    expect(settings.ping).toEqual({ url: 'http://q/ping/pod', intervalMs: 10_000 });
  });

  test('pings need a key and an id of the platform', () => {
    expect(queueSettings({ ...environment, RUNPOD_AI_API_KEY: '' })?.ping).toBeNull();
    expect(queueSettings({ ...environment, RUNPOD_POD_ID: '' })?.ping).toBeNull();
    expect(queueSettings({ ...environment, RUNPOD_PING_INTERVAL: '2500' })?.ping?.intervalMs).toBe(2500);
    expect(queueSettings({ ...environment, RUNPOD_POD_ID: '' })?.workerId).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('log', () => {
  const lines = (isJson: boolean): string[] => {
    const found: string[] = [];
    const log = createJobLog({ isJson, level: 'INFO', write: (line) => found.push(line) });
    log.debug('not shown');
    log.info('Started.', 'job-1');
    log.error('x'.repeat(5000));
    return found;
  };

  test('JSON on the platform', () => {
    const [first, second] = lines(true).map((line) => JSON.parse(line) as { message: string });
    expect(first).toEqual({ requestId: 'job-1', message: 'Started.', level: 'INFO' } as never);
    expect(second?.message).toContain('904 characters left out');
  });

  test('plain elsewhere, at the level that is asked for', () => {
    expect(lines(false)[0]).toBe('INFO   | job-1 | Started.');
    expect([{}, { RUNPOD_DEBUG_LEVEL: 'debug' }, { RUNPOD_LOG_LEVEL: '5' }].map(jobLogLevel)).toEqual([
      'INFO',
      'DEBUG',
      'ERROR',
    ]);
  });
});

describe('waits', () => {
  test('grow as Fibonacci numbers to a limit', () => {
    const waits = fibonacciMs(10_000);
    expect(Array.from({ length: 6 }, () => waits.next().value)).toEqual([2000, 3000, 5000, 8000, 10_000, 10_000]);
  });

  test('end with their signal', async () => {
    const abort = new AbortController();
    const sleep = systemPace.sleep(1e9, abort.signal);
    abort.abort();
    await sleep;
    await systemPace.sleep(1e9, abort.signal);
    await systemPace.sleep(0);
  });
});

describe('the worker', () => {
  test('waits as it should after each kind of answer', async () => {
    const queue = await ScriptedQueue.start({
      takes: [{ status: 204 }, { status: 429 }, { status: 500 }, { status: 500 }, { status: 204 }, { status: 500 }],
      stops: [{ status: 429 }, { status: 204 }, { status: 500 }, { json: { jobsToStop: 'x' } }],
    });
    const { worker, pace } = startBefore(queue);
    await queue.until(({ numHeld }) => numHeld === 2);
    expect(pace.waits.filter((ms) => ms !== 1000 && ms !== 5000)).toEqual([100, 2000, 3000, 100, 2000]);
    expect(pace.waits.filter((ms) => ms === 5000)).toHaveLength(2);
    expect(pace.waits.filter((ms) => ms === 1000)).toHaveLength(3);
    queue.release();
    await worker.stop();
    await queue.close();
  });

  test('answers a job without an input, ignores what nobody could be told about', async () => {
    const queue = await ScriptedQueue.start({
      takes: [{ json: [{ id: 'no-input' }, { input: {} }, 3, null, { id: '' }, job] }],
    });
    const { worker, log } = startBefore(queue, { maxConcurrency: 8 });
    await queue.until(() => queue.accepted('result').length === 2);
    queue.release();
    await worker.stop();
    const byId = Object.fromEntries(
      queue.accepted('result').map(({ headers, body }) => [headers['x-request-id'], body]),
    );
    expect(byId).toEqual({
      'no-input': { error: 'There is no input.' },
      'job-1': { output: ['a'] },
    });
    expect(log.filter((line) => line.includes('without an id'))).toHaveLength(4);
    await queue.close();
  });

  test('runs no more than its limit when it is given more', async () => {
    const held = (id: string) => ({ id, input: { yields: ['a'], hold: true } });
    const queue = await ScriptedQueue.start({
      takes: [{ json: ['1', '2', '3'].map(held) }],
      stops: [{ json: { jobsToStop: ['2', '3'] }, afterParts: 1 }, { json: { jobsToStop: ['1'] } }],
    });
    const { worker } = startBefore(queue, { maxConcurrency: 1 });
    await queue.until(({ asked }) => asked.filter(({ channel }) => channel === 'take').length === 2);
    // The ones that waited were stopped before they began.
    expect(queue.accepted('stream').map(({ headers }) => headers['x-request-id'])).toEqual(['1']);
    queue.release();
    await worker.stop();
    expect(queue.accepted('result')).toEqual([]);
    await queue.close();
  });

  test('takes nothing until the engine is ready, and ends when it never will be', async () => {
    const queue = await ScriptedQueue.start({ takes: [{ json: job }] });
    let fail: (error: Error) => void = () => {};
    let load: (info: EngineInfo) => void = () => {};
    const next = (): Promise<EngineInfo> =>
      new Promise((resolve, reject) => {
        [load, fail] = [resolve, reject];
      });
    const engine = { state: 'loading' as 'loading' | 'ready', ready: next };
    const { worker, ends, log } = startBefore(queue, { engine });
    await queue.until(({ asked }) => asked.some(({ channel }) => channel === 'stop'));
    expect(queue.asked.some(({ channel }) => channel === 'take')).toBe(false);
    load({} as EngineInfo);
    await queue.until(() => queue.accepted('result').length === 1);
    fail(new EngineError('load-failed', 'No memory.'));
    queue.release();
    await worker.stop();
    expect(ends).toEqual(['failed']);
    expect(log.some((line) => line.includes('No memory.'))).toBe(true);
    await queue.close();
  });

  test('asks for a fresh worker after a job when it shall', async () => {
    const queue = await ScriptedQueue.start({ takes: [{ json: job }] });
    let end: (reason: string) => void = () => {};
    const ended = new Promise<string>((resolve) => {
      end = resolve;
    });
    const { worker } = startBefore(queue, { env: { REFRESH_WORKER: '1' }, onEnd: (reason) => end(reason) });
    expect(await ended).toBe('refresh');
    await worker.stop();
    expect(queue.accepted('result')[0]?.body).toEqual({ output: ['a'], stopPod: true });
    expect(queue.asked.filter(({ channel }) => channel === 'take')).toHaveLength(1);
    await queue.close();
  });

  test('gives a result up only after many attempts, and says so', async () => {
    const queue = await ScriptedQueue.start({
      takes: [{ json: job }],
      results: Array.from({ length: 8 }, (_, i) => ({ status: i % 2 === 0 ? 500 : 429 })),
    });
    const { worker, log } = startBefore(queue);
    await queue.until(({ asked }) => asked.some(({ channel, answer }) => channel === 'take' && answer === 'held'));
    expect(queue.asked.filter(({ channel }) => channel === 'result')).toHaveLength(8);
    expect(log.some((line) => line.includes('the queue has no result'))).toBe(true);
    queue.release();
    await worker.stop();
    await queue.close();
  });

  test('a queue without a stop channel is no problem; stop may be called twice', async () => {
    const queue = await ScriptedQueue.start({ takes: [{ json: job }] });
    const url = queue.environment().RUNPOD_WEBHOOK_GET_JOB?.replace('/job-take/', '/job-take-other/') ?? '';
    const { worker } = startBefore(queue, { env: { RUNPOD_WEBHOOK_GET_JOB: url } });
    await queue.until(() => queue.accepted('result').length === 1);
    queue.release();
    await Promise.all([worker.stop(), worker.stop()]);
    expect(queue.asked.some(({ channel }) => channel === 'stop')).toBe(false);
    await queue.close();
  });

  test('an idle worker goes down without waiting for the queue', async () => {
    const queue = await ScriptedQueue.start({});
    const { worker } = startBefore(queue, { pace: new QuickPace() });
    await queue.until(({ numHeld }) => numHeld === 2);
    await worker.stop();
    await queue.close();
  });
});

describe('one job from the command line', () => {
  test('where it comes from', async () => {
    expect(await findTestInput(['--port', '1'])).toBeNull();
    expect(await findTestInput(['--test_input', '{"input":1}'])).toBe('{"input":1}');
    expect(await findTestInput(['--test_input={"input":1}', '--x'])).toBe('{"input":1}');
    expect(findTestInput(['--test_input'])).rejects.toThrow('test_input.json');
  });

  test('what comes out', async () => {
    const lines: string[] = [];
    const run = (text: string): Promise<0 | 1> => runLocalTest(text, toldHandler, (line) => lines.push(line));
    expect(await run('{"input": {"yields": [1, 2]}}')).toBe(0);
    expect(await run('{"id": "x", "input": {"fail": "boom"}}')).toBe(1);
    expect(await run('{"no": 1}')).toBe(1);
    expect(await run('{')).toBe(1);
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { id: 'local_test', status: 'COMPLETED', output: [1, 2] },
      { status: 'FAILED', error: 'boom' },
      { status: 'FAILED', error: expect.stringContaining('`input`') },
      { status: 'FAILED', error: expect.stringContaining('not valid JSON') },
    ]);
    expect(new JobFailure('boom').text).toBe('boom');
  });
});
