/**
 * More requests than the server takes: they are refused at once and counted, probes stay well, and room that comes back is used.
 *
 * How long a refusal takes is printed, not asserted.
 */
import { afterAll, describe, expect } from 'bun:test';
import { longContextModel } from '../helpers/long-context.ts';
import { type ServerProcess, until } from '../helpers/server-process.ts';
import { openStream } from './sse.ts';
import { serverSuite, tinyModel } from './suite.ts';

const MAX_SEQUENCES = 8;
const NUM_REFUSED = 200;
const MAX_QUEUED_TOKENS = 200;

interface Refusal {
  readonly status: number;
  readonly retryAfter: number;
  readonly type: string;
  readonly ms: number;
}

function complete(server: ServerProcess, body: object): Promise<Response> {
  return fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'Hello', ignore_eos: true, ...body }),
  });
}

async function refusalOf(server: ServerProcess, body: object): Promise<Refusal> {
  const start = performance.now();
  const response = await complete(server, body);
  const { error } = (await response.json()) as { error?: { type: string } };
  const retryAfter = Number(response.headers.get('retry-after'));
  return { status: response.status, retryAfter, type: error?.type ?? '', ms: performance.now() - start };
}

async function numRejections(server: ServerProcess, reason: string): Promise<number> {
  const page = await (await fetch(`${server.url}/metrics`)).text();
  const value = new RegExp(`^vllm:admission_rejections_total\\{[^}]*reason="${reason}"\\} (\\S+)$`, 'm').exec(
    page,
  )?.[1];
  return Number(value);
}

describe('sequences', () => {
  const longContext = longContextModel();
  const suite = serverSuite({ ...longContext.env, MAX_NUM_SEQS: '4', MAX_NUM_QUEUED_REQS: String(MAX_SEQUENCES) });
  afterAll(longContext.remove);

  suite.test(`beyond ${MAX_SEQUENCES} are refused with 503 while /health says 200`, async (server) => {
    const leaving = new AbortController();
    const endless = { prompt: 'Hello', max_tokens: 10_000, ignore_eos: true };
    const running = Array.from({ length: MAX_SEQUENCES }, () => openStream(server.url, endless, leaving.signal));
    const gone = Promise.allSettled(running.map(async (stream) => (await stream).frames));
    // Half of them run, half wait: both take room.
    await until(async () => (await server.metric('num_requests_running')) === 4);
    await until(async () => (await server.metric('num_requests_waiting')) === 4);

    const stepsBefore = await server.metric('iteration_tokens_total_count');
    const health: number[] = [];
    const refused = await Promise.all(
      Array.from({ length: NUM_REFUSED }, async (_, i) => {
        if (i % 10 === 0) health.push((await fetch(`${server.url}/health`)).status);
        return refusalOf(server, { max_tokens: 1, stream: i % 2 === 0 });
      }),
    );
    expect(health).toEqual(health.map(() => 200));
    expect(health.length).toBe(NUM_REFUSED / 10);
    for (const { status, type, retryAfter } of refused) {
      expect([status, type]).toEqual([503, 'ServiceUnavailableError']);
      expect(retryAfter).toBeGreaterThanOrEqual(1);
      expect(retryAfter).toBeLessThanOrEqual(90);
    }
    expect(await numRejections(server, 'num_queued_reqs')).toBe(NUM_REFUSED);
    const numSteps = (await server.metric('iteration_tokens_total_count')) - stepsBefore;
    const times = refused.map(({ ms }) => ms).sort((a, b) => a - b);
    const at = (share: number) => times[Math.floor(share * (times.length - 1))]?.toFixed(1);
    console.log(`${NUM_REFUSED} refusals at once: median ${at(0.5)} ms, 99 % ${at(0.99)} ms, during ${numSteps} steps`);
    // One by one, as clients that come back too early do.
    const alone: number[] = [];
    for (let i = 0; i < 20; i++) alone.push((await refusalOf(server, { max_tokens: 1 })).ms);
    console.log(`one at a time: at most ${Math.max(...alone).toFixed(1)} ms`);
    // A request counts all of its choices, also when it comes alone.
    expect((await refusalOf(server, { n: 3, max_tokens: 1 })).status).toBe(503);

    leaving.abort();
    await gone;
    await until(async () => (await server.metric('num_requests_waiting')) === 0);
    expect((await complete(server, { max_tokens: 2 })).status).toBe(200);
    await until(async () => (await server.metric('kv_cache_usage_perc')) === 0);
  });
});

describe('prompt tokens', () => {
  const suite = serverSuite({
    MODEL_NAME: tinyModel('tiny-llama'),
    MAX_NUM_QUEUED_TOKENS: String(MAX_QUEUED_TOKENS),
    SSE_KEEP_ALIVE_MS: '600000',
  });

  suite.test(
    `beyond ${MAX_QUEUED_TOKENS} that wait are refused, and taken when they wait no longer`,
    async (server) => {
      const engine = server.enginePid();
      if (engine === null) throw new Error('there is no engine process');
      const prompt = Array.from({ length: 120 }, (_, i) => i % 256);
      const taken: Promise<Response>[] = [];
      let ends: Promise<string | undefined> | null = null;
      process.kill(engine, 'SIGSTOP');
      try {
        taken.push(complete(server, { prompt, max_tokens: 2 }));
        await until(async () => (await server.metric('num_requests_waiting')) === 1);
        expect((await refusalOf(server, { prompt, max_tokens: 2 })).status).toBe(503);
        expect(await numRejections(server, 'num_queued_tokens')).toBe(1);
        // A shorter one still fits, and has its status before the engine has done anything for it.
        const waiting = await openStream(server.url, { prompt: prompt.slice(0, 60), max_tokens: 2, ignore_eos: true });
        expect(waiting.status).toBe(200);
        ends = waiting.frames.then((frames) => frames.at(-1));
        await until(async () => (await server.metric('num_requests_waiting')) === 2);
        expect((await fetch(`${server.url}/health`)).status).toBe(200);
      } finally {
        process.kill(engine, 'SIGCONT');
      }
      expect((await Promise.all(taken)).map(({ status }) => status)).toEqual([200]);
      expect(await ends).toBe('[DONE]');
      expect((await complete(server, { prompt, max_tokens: 2 })).status).toBe(200);
    },
  );
});
