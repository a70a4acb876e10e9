/** Jobs over HTTP without RunPod: the calls, their states, limits and times. */
import { describe, expect, test } from 'bun:test';
import { EngineError } from '../../src/engine/types.ts';
import { idsOf, says } from '../helpers/test-app.ts';
import { type JobSetup, jobSetup } from '../unit/jobs/job-setup.ts';

const input = { prompt: 'hi' };
const waits = () => [...idsOf('ab'), 'hold' as const, ...idsOf('cd')];

async function submit(setup: JobSetup, body: object = { input }): Promise<string> {
  return String((await setup.json('POST', '/run', body)).id);
}

async function ended(setup: JobSetup, id: string): Promise<Record<string, unknown>> {
  return setup.json('GET', `/status-sync/${id}`);
}

describe('submitting', () => {
  test('run answers at once, status has the result', async () => {
    const setup = jobSetup(says('hello world'));
    const submitted = await setup.json('POST', '/run', { input });
    expect(submitted).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}$/), status: 'IN_QUEUE' });
    await ended(setup, String(submitted.id));
    for (const method of ['GET', 'POST']) {
      expect(await setup.json(method, `/status/${submitted.id}`)).toEqual({
        delayTime: 0,
        executionTime: 0,
        id: submitted.id,
        output: [{ choices: [{ tokens: ['hello world'] }], usage: { input: 2, output: 3 } }],
        status: 'COMPLETED',
      });
    }
  });

  test('runsync waits for the end', async () => {
    const setup = jobSetup(says('hello'));
    expect(await setup.json('POST', '/runsync', { input })).toMatchObject({
      id: expect.stringMatching(/^sync-/),
      output: [{ choices: [{ tokens: ['hello'] }] }],
      status: 'COMPLETED',
    });
  });

  test('runsync gives up waiting, not the job', async () => {
    const setup = jobSetup(waits);
    const answer = setup.json('POST', '/runsync?wait=2000', { input });
    await setup.engine.held();
    setup.clock.advance(2000);
    const { id, status } = await answer;
    expect(status).toBe('IN_PROGRESS');
    setup.engine.release();
    expect(await ended(setup, String(id))).toMatchObject({ status: 'COMPLETED', executionTime: 2000 });
  });

  test('what cannot be a job is refused', async () => {
    const setup = jobSetup(says('a'));
    for (const [body, param] of [
      [{}, 'input'],
      [{ input: null }, 'input'],
      [{ input, webhook: 'ftp://somewhere' }, 'webhook'],
      [{ input, policy: { ttl: -1 } }, 'policy.ttl'],
      ['{', null],
    ] as const) {
      const response = await setup.call('POST', '/run', body);
      expect([response.status, ((await response.json()) as { error: { param: unknown } }).error.param]).toEqual([
        400,
        param,
      ]);
    }
    expect((await setup.call('POST', '/run', { input: { prompt: 'x'.repeat(1 << 20) } })).status).toBe(413);
  });

  test('a failed job says why, as JSON text', async () => {
    const setup = jobSetup(says('a'));
    const answer = await setup.json('POST', '/runsync', { input: { prompt: 'a', sampling_params: { heat: 1 } } });
    expect(answer).toMatchObject({ status: 'FAILED' });
    expect(JSON.parse(String(answer.error))).toEqual({
      error: {
        message: '`sampling_params` has no parameter `heat`.',
        type: 'BadRequestError',
        param: 'heat',
        code: 400,
      },
    });
    expect(setup.reported).toEqual([]);
  });

  test('a failure of ours is reported and keeps what was put out', async () => {
    const setup = jobSetup(() => [...idsOf('ab'), new EngineError('device-lost', 'The GPU is gone.')]);
    const answer = await setup.json('POST', '/runsync', { input: { ...input, stream: true } });
    expect(answer).toMatchObject({ status: 'FAILED', error: expect.stringContaining('The GPU is gone.') });
    expect(setup.reported).toHaveLength(1);
  });

  test('nothing is taken while the server goes down; a loading model is waited for', async () => {
    const draining = jobSetup(says('a'), { deps: { isDraining: () => true } });
    expect((await draining.call('POST', '/run', { input })).status).toBe(503);
    const loading = jobSetup(says('a'));
    loading.engine.state = 'loading';
    expect((await loading.call('POST', '/run', { input })).status).toBe(200);
    loading.engine.state = 'failed';
    expect((await loading.call('POST', '/run', { input })).status).toBe(503);
  });

  test('keys protect every call', async () => {
    const setup = jobSetup(says('a'), { settings: { apiKeys: ['secret'] } });
    for (const [method, path] of [
      ['POST', '/run'],
      ['POST', '/v2/x/runsync'],
      ['GET', '/v2/x/health'],
      ['GET', '/v2/x/openai/v1/models'],
    ] as const) {
      expect((await setup.call(method, path)).status).toBe(401);
    }
    const headers = { authorization: 'Bearer secret' };
    expect((await setup.call('POST', '/v2/x/runsync', { input: { openai_route: '/v1/models' } }, headers)).status).toBe(
      200,
    );
    expect((await setup.call('GET', '/v2/x/openai/v1/models', undefined, headers)).status).toBe(200);
  });
});

describe('following a stream', () => {
  test('each call gives what the last one did not, and waits for more', async () => {
    const setup = jobSetup(waits);
    const id = await submit(setup, { input: { ...input, stream: true } });
    const first = await setup.json('GET', `/stream/${id}`);
    expect(first).toMatchObject({ id, status: 'IN_PROGRESS', stream: [{ output: { choices: [{ tokens: ['a'] }] } }] });
    await setup.engine.held();
    const isWaiting = setup.clock.timerSet();
    const late = setup.json('POST', `/stream/${id}`);
    await isWaiting;
    setup.clock.advance(5000);
    expect(await late).toEqual({ id, status: 'IN_PROGRESS', stream: [] });
    const next = setup.json('GET', `/stream/${id}`);
    setup.engine.release();
    const rest = [await next, await setup.json('GET', `/stream/${id}`)];
    const tokens = rest.flatMap((answer) => answer.stream as { output: { choices: { tokens: string[] }[] } }[]);
    expect(tokens.flatMap((part) => part.output.choices[0]?.tokens ?? []).join('')).toBe('bcd');
    await ended(setup, id);
    expect(await setup.json('GET', `/stream/${id}`)).toEqual({ id, status: 'COMPLETED', stream: [] });
    // The whole is still there.
    expect((await setup.json('GET', `/status/${id}`)).output).toHaveLength(3);
  });
});

describe('ending jobs early', () => {
  test('cancel ends a running job and frees the engine', async () => {
    const setup = jobSetup(waits);
    const id = await submit(setup);
    await setup.engine.held();
    expect(await setup.json('POST', `/cancel/${id}`, '')).toEqual({ id, status: 'CANCELLED' });
    await setup.engine.idle();
    expect(setup.engine.aborted).toHaveLength(1);
    expect(await setup.json('GET', `/status/${id}`)).toMatchObject({ id, status: 'CANCELLED' });
  });

  test('cancel after the end changes nothing', async () => {
    const setup = jobSetup(says('a'));
    const id = await submit(setup);
    await ended(setup, id);
    expect(await setup.json('POST', `/cancel/${id}`)).toEqual({ id, status: 'COMPLETED' });
  });

  test('jobs over the limit wait; purging drops those alone', async () => {
    const setup = jobSetup(waits, { jobs: { maxConcurrency: 1 } });
    const ids = [await submit(setup), await submit(setup), await submit(setup)];
    expect(setup.service.counters()).toMatchObject({ inProgress: 1, inQueue: 2 });
    expect(await setup.json('POST', '/purge-queue')).toEqual({ removed: 2, status: 'completed' });
    setup.engine.release();
    const states = await Promise.all(ids.map((id) => ended(setup, id)));
    expect(states.map((state) => state.status)).toEqual(['COMPLETED', 'CANCELLED', 'CANCELLED']);
  });

  test('the execution time runs out', async () => {
    const setup = jobSetup(waits);
    const id = await submit(setup, { input, policy: { executionTimeout: 5000 } });
    await setup.engine.held();
    setup.clock.advance(5000);
    expect(await setup.json('GET', `/status/${id}`)).toMatchObject({ status: 'TIMED_OUT', executionTime: 5000 });
    await setup.engine.idle();
  });

  test('the time to live runs out in the queue', async () => {
    const setup = jobSetup(waits, { jobs: { maxConcurrency: 1 } });
    await submit(setup);
    const id = await submit(setup, { input, policy: { ttl: 1000 } });
    setup.clock.advance(1000);
    expect(await setup.json('GET', `/status/${id}`)).toMatchObject({ status: 'TIMED_OUT', delayTime: 1000 });
    expect(setup.service.counters()).toMatchObject({ inProgress: 1, inQueue: 0, failed: 1 });
  });

  test('a failed job can be tried again under its id', async () => {
    let isBroken = true;
    const setup = jobSetup(() => (isBroken ? [new EngineError('gpu-error', 'x')] : idsOf('ok')));
    const id = await submit(setup);
    expect(await ended(setup, id)).toMatchObject({ status: 'FAILED' });
    isBroken = false;
    expect(await setup.json('POST', `/retry/${id}`)).toEqual({ id, status: 'IN_QUEUE' });
    expect(await ended(setup, id)).toMatchObject({ status: 'COMPLETED', output: [{ choices: [{ tokens: ['ok'] }] }] });
    expect((await setup.call('POST', `/retry/${id}`)).status).toBe(400);
    expect(setup.service.counters()).toEqual({ completed: 1, failed: 1, inProgress: 0, inQueue: 0, retried: 1 });
  });

  test('unknown jobs', async () => {
    const setup = jobSetup(says('a'));
    for (const [method, path] of [
      ['GET', '/status/x'],
      ['GET', '/stream/x'],
      ['POST', '/cancel/x'],
      ['POST', '/retry/x'],
    ] as const) {
      expect((await setup.call(method, path)).status).toBe(404);
    }
  });
});

describe('keeping results', () => {
  test('half an hour, a minute for runsync, less when asked', async () => {
    const setup = jobSetup(says('a'));
    const id = await submit(setup);
    await ended(setup, id);
    const sync = String((await setup.json('POST', '/runsync', { input })).id);
    const short = await submit(setup);
    await ended(setup, short);
    expect((await setup.call('GET', `/status/${short}?ttl=6000`)).status).toBe(200);
    setup.clock.advance(6000);
    expect((await setup.call('GET', `/status/${short}`)).status).toBe(404);
    setup.clock.advance(54_000);
    expect((await setup.call('GET', `/status/${sync}`)).status).toBe(404);
    setup.clock.advance(28 * 60_000);
    expect((await setup.call('GET', `/status/${id}`)).status).toBe(200);
    setup.clock.advance(60_000);
    expect((await setup.call('GET', `/status/${id}`)).status).toBe(404);
  });

  test('the oldest results make room; the queue has an end', async () => {
    const limits = { maxHeldChars: 400, maxQueued: 1 };
    const setup = jobSetup(says('a'), { service: { limits } });
    const ids: string[] = [];
    for (let i = 0; i < 10; i++) {
      const id = await submit(setup);
      ids.push(id);
      await ended(setup, id);
    }
    const kept = await Promise.all(ids.map(async (id) => (await setup.call('GET', `/status/${id}`)).status));
    expect(kept.slice(0, 3)).toEqual([404, 404, 404]);
    expect(kept.at(-1)).toBe(200);

    const full = jobSetup(waits, { jobs: { maxConcurrency: 1 }, service: { limits, maxConcurrency: 1 } });
    await submit(full);
    await submit(full);
    expect((await full.call('POST', '/run', { input })).status).toBe(503);
    const huge = jobSetup(says('a'), { service: { limits } });
    expect((await huge.call('POST', '/run', { input: { prompt: 'x'.repeat(500) } })).status).toBe(503);
  });

  test('an output that is too large fails its job', async () => {
    const setup = jobSetup(says('abcdefghij'), { service: { limits: { maxOutputChars: 100 } } });
    const answer = await setup.json('POST', '/runsync', { input: { ...input, stream: true, max_batch_size: 1 } });
    expect(answer).toMatchObject({ status: 'FAILED', error: expect.stringContaining('too large') });
    await setup.engine.idle();
  });

  test('the webhook is told, three times at most', async () => {
    const posts: { readonly url: string; readonly body: string }[] = [];
    const statuses = [500, null, 200];
    const setup = jobSetup(says('a'), {
      service: {
        postWebhook: (url, body) => {
          posts.push({ url, body });
          const status = statuses.shift() ?? 500;
          return status === null ? Promise.reject(new Error('cut')) : Promise.resolve(status);
        },
      },
    });
    const id = await submit(setup, { input, webhook: 'https://example.com/hook' });
    await ended(setup, id);
    while (posts.length < 3) {
      setup.clock.advance(10_000);
      await Promise.resolve();
    }
    await setup.service.drained();
    expect(new Set(posts.map((post) => post.url))).toEqual(new Set(['https://example.com/hook']));
    expect(posts.map((post) => JSON.parse(post.body).status)).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED']);
    expect(setup.reported).toEqual([]);
  });
});

describe('counters and prefixes', () => {
  test('health under an endpoint counts jobs and workers', async () => {
    const setup = jobSetup(waits, { jobs: { maxConcurrency: 1 } });
    const idle = { completed: 0, failed: 0, inProgress: 0, inQueue: 0, retried: 0 };
    expect(await setup.json('GET', '/v2/any/health')).toEqual({ jobs: idle, workers: { idle: 1, running: 0 } });
    await submit(setup);
    await submit(setup);
    expect(await setup.json('GET', '/v2/any/health')).toEqual({
      jobs: { ...idle, inProgress: 1, inQueue: 1 },
      workers: { idle: 0, running: 1 },
    });
    // The server's own health stays where it was.
    expect(await setup.json('GET', '/health')).toEqual({ status: 'ok' });
  });

  test('every call works under an endpoint, and the OpenAI routes do', async () => {
    const setup = jobSetup(says('hello'));
    const { id } = await setup.json('POST', '/v2/my-endpoint/run', { input });
    expect(await setup.json('GET', `/v2/my-endpoint/status-sync/${id}`)).toMatchObject({ status: 'COMPLETED' });
    expect(await setup.json('GET', `/v2/my-endpoint/stream/${id}`)).toMatchObject({ stream: [{}] });
    expect(await setup.json('POST', `/v2/my-endpoint/cancel/${id}`)).toMatchObject({ status: 'COMPLETED' });
    expect(await setup.json('POST', '/v2/my-endpoint/purge-queue')).toMatchObject({ removed: 0 });
    expect(await setup.json('GET', '/v2/my-endpoint/openai/v1/models')).toMatchObject({ object: 'list' });
    const chat = { messages: [{ role: 'user', content: 'hi' }] };
    expect(await setup.json('POST', '/v2/my-endpoint/openai/v1/chat/completions', chat)).toMatchObject({
      choices: [{ message: { content: 'hello' } }],
    });
    expect((await setup.call('GET', '/v2/my-endpoint/openai/v1/nothing')).status).toBe(404);
  });

  test('a request behind the prefix keeps its connection and its client', async () => {
    const timeouts: Request[] = [];
    const setup = jobSetup(waits, { deps: { setIdleTimeout: (request) => timeouts.push(request) } });
    const client = new AbortController();
    const request = new Request('http://localhost/v2/x/openai/v1/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'a' }),
      signal: client.signal,
    });
    const answer = setup.app.handle(request);
    await setup.engine.held();
    expect(timeouts).toEqual([request]);
    client.abort();
    await answer;
    expect(setup.engine.aborted).toHaveLength(1);
  });

  test('without a job service there are no job routes', async () => {
    const { testApp } = await import('../helpers/test-app.ts');
    const { post } = testApp(says('a'));
    expect((await post('/run', { input })).status).toBe(404);
  });
});
