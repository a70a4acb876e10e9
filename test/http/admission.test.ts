/** Bounded queues, the way down, the time before there is a model, and limits of time. */
import { describe, expect, test } from 'bun:test';
import { shuttingDown } from '../../src/routes/accepting.ts';
import { createBootApp } from '../../src/routes/boot-app.ts';
import { probesOnly } from '../../src/routes/probes.ts';
import { type AdmissionLimits, InFlight } from '../../src/serving/in-flight.ts';
import { ServingMetrics } from '../../src/serving/metrics.ts';
import { eventsOf, says, testApp, testModel, testSettings } from '../helpers/test-app.ts';

const chatBody = { messages: [{ role: 'user', content: 'hi' }] };

function counter(limits: Partial<AdmissionLimits> = {}): InFlight {
  const all = { maxSequences: 1000, maxQueuedTokens: 100_000, ...limits };
  return new InFlight({ limits: () => all, nowMs: () => 0, random: () => 0 });
}

/** Lets everything happen that waits for nothing but its turn. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a full queue', () => {
  test('a burst is refused at once with 503 and Retry-After, probes stay well, and room comes back', async () => {
    const inFlight = counter({ maxSequences: 3 });
    const { get, post, engine } = testApp(() => ['hold', 97], { inFlight });
    const all = Array.from({ length: 20 }, () => post('/v1/chat/completions', chatBody));
    await settled();
    expect(engine.requests).toHaveLength(3);
    expect((await get('/health')).status).toBe(200);
    expect(await (await get('/load')).json()).toEqual({ server_load: 3 });
    engine.release();
    const answers = await Promise.all(all);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused).toHaveLength(17);
    expect(refused[0]?.headers.get('retry-after')).toBe('5');
    expect(await refused[0]?.json()).toMatchObject({ error: { type: 'ServiceUnavailableError', code: 503 } });
    const last = post('/v1/chat/completions', chatBody);
    await engine.held();
    engine.release();
    expect((await last).status).toBe(200);
    expect(await (await get('/metrics')).text()).toContain('reason="num_queued_reqs"} 17\n');
  });

  test('a burst is refused before anything of it is tokenised; unread bodies and refusals keep no room', async () => {
    const inFlight = counter({ maxSequences: 2 });
    const gate = Promise.withResolvers<void>();
    const model = testModel();
    let numEncoded = 0;
    const encoder: typeof model.encoder = {
      ...model.encoder,
      encode: async (text, options) => {
        numEncoded += 1;
        await gate.promise;
        return model.encoder.encode(text, options);
      },
    };
    const { post } = testApp(says('a'), { inFlight, model: { ...model, encoder } });
    const first = [post('/v1/chat/completions', chatBody), post('/v2/x/openai/v1/completions', { prompt: 'a' })];
    await settled();
    expect((await post('/v1/chat/completions', chatBody)).status).toBe(503);
    expect(numEncoded).toBe(2);
    // What needs no generation goes on.
    const rendering = post('/v1/completions/render', { prompt: 'a' });
    gate.resolve();
    expect((await rendering).status).toBe(200);
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
    for (const body of ['{', { messages: [] }, { ...chatBody, temperature: 9 }]) {
      expect((await post('/v1/chat/completions', body)).status).toBe(400);
    }
    expect((await post('/v1/chat/completions', { ...chatBody, n: 2 })).status).toBe(200);
  });

  test('each choice counts, and all routes that generate share the limit', async () => {
    const inFlight = counter({ maxSequences: 4 });
    const { post, engine } = testApp(() => ['hold', 97], { inFlight });
    const running = post('/v1/completions', { prompt: 'a', n: 3 });
    await engine.held();
    for (const [path, body] of [
      ['/v1/completions', { prompt: 'a', n: 2 }],
      ['/v1/chat/completions', { ...chatBody, n: 2 }],
    ] as const) {
      expect((await post(path, body)).status).toBe(503);
    }
    const one = post('/v1/responses', { input: 'a' });
    await settled();
    const last = await post('/v1/messages', { ...chatBody, max_tokens: 4 });
    expect(last.status).toBe(503);
    expect(await last.json()).toMatchObject({ type: 'error' });
    engine.release();
    expect((await running).status).toBe(200);
    expect((await one).status).toBe(200);
    expect([inFlight.numRequests, inFlight.numSequences, inFlight.numQueuedTokens]).toEqual([0, 0, 0]);
  });

  test('prompt tokens that wait are bounded too; an idle server takes what is longer than the bound', async () => {
    const inFlight = counter({ maxQueuedTokens: 8 });
    const { post, engine } = testApp(() => ['hold', 97], { inFlight });
    const long = post('/v1/completions', { prompt: 'a'.repeat(20) });
    await engine.held();
    expect(inFlight.numQueuedTokens).toBeGreaterThan(8);
    expect((await post('/v1/completions', { prompt: 'b' })).status).toBe(503);
    engine.release();
    await long;
    expect(inFlight.numQueuedTokens).toBe(0);
  });

  test('what the engine refuses, and clients that leave, give their room back', async () => {
    const inFlight = counter();
    const { post, engine } = testApp(() => ['hold'], { inFlight });
    const controller = new AbortController();
    const pending = post('/v1/chat/completions', chatBody, { signal: controller.signal });
    await engine.held();
    controller.abort();
    await pending;
    engine.refuseFrom = 0;
    expect((await post('/v1/chat/completions', { ...chatBody, n: 2 })).status).toBe(503);
    expect([inFlight.numRequests, inFlight.numSequences, inFlight.numQueuedTokens]).toEqual([0, 0, 0]);
  });

  test('waiting sequences are counted before the engine knows of them', async () => {
    const { get, post, engine } = testApp(() => ['hold', 97], { inFlight: counter() });
    const pending = post('/v1/completions', { prompt: 'a', n: 2 });
    await engine.held();
    const stats = engine.stats.bind(engine);
    engine.stats = () => ({ ...stats(), numRunning: 0, numWaiting: 0 });
    expect(await (await get('/metrics/routing')).text()).toMatch(/num_requests_waiting\{.*\} 2\n/);
    engine.release();
    await pending;
  });
});

describe('going down', () => {
  test('first readiness says no and requests are taken, then they are not', async () => {
    let phase = 0;
    const { get, post } = testApp(says('a'), { isDraining: () => phase > 0, isClosing: () => phase > 1 });
    const look = async () => ({
      health: (await get('/health')).status,
      ping: (await get('/ping')).status,
      live: (await get('/live')).status,
      chat: (await post('/v1/chat/completions', chatBody)).status,
      connection: (await get('/version')).headers.get('connection'),
    });
    expect(await look()).toEqual({ health: 200, ping: 200, live: 200, chat: 200, connection: null });
    phase = 1;
    expect(await look()).toEqual({ health: 503, ping: 503, live: 200, chat: 200, connection: 'close' });
    phase = 2;
    expect(await look()).toEqual({ health: 503, ping: 503, live: 200, chat: 503, connection: 'close' });
  });

  test('what is given up ends with an error that says so, whole and streamed', async () => {
    const inFlight = counter();
    const { post, engine } = testApp(() => [97, 'hold'], { inFlight });
    const whole = post('/v1/chat/completions', chatBody);
    const stream = await post('/v1/chat/completions', { ...chatBody, stream: true });
    await engine.held();
    inFlight.cancelAll(shuttingDown());
    expect((await whole).status).toBe(503);
    expect(await (await whole).json()).toMatchObject({ error: { message: 'The server is shutting down.' } });
    const events = eventsOf(await stream.text());
    expect(events.at(-2)).toMatchObject({ choices: [{ finish_reason: 'abort' }] });
    expect(events.at(-1)).toMatchObject({ error: { message: 'The server is shutting down.', code: 503 } });
    expect(inFlight.numRequests).toBe(0);
  });
});

test('a generation that takes too long ends with 408', async () => {
  const { post, engine } = testApp(() => ['hold'], { requestTimeoutMs: 1 });
  const response = await post('/v1/chat/completions', chatBody);
  expect(response.status).toBe(408);
  expect(await response.json()).toMatchObject({ error: { type: 'RequestTimeoutError' } });
  await engine.idle();
});

describe('before there is a model', () => {
  const boot = (isDraining: boolean, apiKeys: string[] = []) => {
    const app = createBootApp({
      settings: { ...testSettings, apiKeys },
      metrics: new ServingMetrics(() => 0),
      isDraining: () => isDraining,
    });
    return (path: string, init?: RequestInit) => app.handle(new Request(`http://localhost${path}`, init));
  };

  test('probes tell that it is being loaded', async () => {
    const ask = boot(false);
    const statuses = await Promise.all(
      ['/live', '/health', '/ready', '/ping', '/version'].map(async (path) => (await ask(path)).status),
    );
    expect(statuses).toEqual([200, 503, 503, 204, 200]);
    expect(await (await ask('/metrics')).text()).toContain('vllm:num_requests_running{');
    expect(Buffer.byteLength(await (await ask('/metrics/routing')).text())).toBeLessThan(1024);
  });

  test('everything else is asked to come back, with a right key', async () => {
    const ask = boot(false, ['key']);
    expect((await ask('/v1/models')).status).toBe(401);
    const response = await ask('/v1/chat/completions', { method: 'POST', headers: { authorization: 'Bearer key' } });
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await response.json()).toMatchObject({ error: { message: 'The model is being loaded.' } });
    const message = await ask('/v1/messages', { method: 'POST', headers: { 'x-api-key': 'key' } });
    expect(await message.json()).toMatchObject({ type: 'error' });
  });

  test('a server that goes down will never be ready', async () => {
    expect((await boot(true)('/ping')).status).toBe(503);
  });
});

test('the port of probes knows nothing else', async () => {
  const { app } = testApp(says('a'));
  const probes = probesOnly(app, '/up');
  const status = async (path: string) => (await probes.fetch(new Request(`http://localhost${path}`))).status;
  expect(await Promise.all(['/ping', '/metrics/routing', '/v1/models', '/docs'].map(status))).toEqual([
    200, 200, 404, 404,
  ]);
});
