/**
 * Many long requests whose clients leave: their work ends with them, and the next request is served as if they had not been.
 *
 * Bounded by the work that the engine does, counted by itself, not by time. `WGSLM_CANCEL_REQUESTS` sets how many requests leave (the
 * default suits every run of the tests).
 */
import { afterAll, expect } from 'bun:test';
import { setTimeout as delay } from 'node:timers/promises';
import { longContextModel } from '../helpers/long-context.ts';
import { type ServerProcess, until } from '../helpers/server-process.ts';
import { serverSuite } from './suite.ts';

const NUM_REQUESTS = Number(process.env.WGSLM_CANCEL_REQUESTS ?? 24);
const MAX_TOKENS = 10_000;
/** What the clients wait for before they leave. Units: milliseconds. */
const PATIENCE_MS = 500;
/** Steps in which the server must have noticed that nobody waits any more. One request that is not ended takes twenty times as many. */
const MAX_STEPS_TO_NOTICE = 500;
const NEXT_TOKENS = 32;

const long = { model: 'tiny', prompt: 'Hello', max_tokens: MAX_TOKENS, ignore_eos: true, seed: 1 };
const FORMS = {
  whole: {},
  streamed: { stream: true },
  'with n = 3': { n: 3 },
  'with n = 2, streamed': { n: 2, stream: true },
} as const;

// The first requests must find room, all of them, so that they leave from the queue as well as from the batch.
const longContext = longContextModel();
const suite = serverSuite({ ...longContext.env, MAX_NUM_SEQS: '32', MAX_NUM_QUEUED_REQS: '1000' });
afterAll(longContext.remove);

async function post(server: ServerProcess, body: object, signal: AbortSignal | null = null): Promise<Response> {
  return fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
}

/** Resolves when the client has left. Throws: when the answer ends before. */
async function askUntilLeft(server: ServerProcess, body: object, signal: AbortSignal): Promise<void> {
  try {
    const response = await post(server, body, signal);
    expect(response.status).toBe(200);
    await response.text();
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  throw new Error('a request of 10,000 tokens has ended');
}

/** In the batch and in the queue. */
async function numSequences(server: ServerProcess): Promise<number> {
  return (await server.metric('num_requests_running')) + (await server.metric('num_requests_waiting'));
}

async function expectAllFree(server: ServerProcess): Promise<void> {
  for (const gauge of ['num_requests_running', 'num_requests_waiting', 'kv_cache_usage_perc']) {
    await until(async () => (await server.metric(gauge)) === 0);
  }
}

for (const [form, extra] of Object.entries(FORMS)) {
  suite.test(
    `${NUM_REQUESTS} requests of ${MAX_TOKENS} tokens, ${form}, end when their clients leave`,
    async (server) => {
      const tokensBefore = await server.metric('generation_tokens_total');
      const numExpected = NUM_REQUESTS * ('n' in extra ? extra.n : 1);
      const leaving = new AbortController();
      const all = Array.from({ length: NUM_REQUESTS }, () =>
        askUntilLeft(server, { ...long, ...extra }, leaving.signal),
      );
      await Promise.all([delay(PATIENCE_MS), until(async () => (await numSequences(server)) === numExpected)]);
      const stepsAtLeaving = await server.metric('iteration_tokens_total_count');
      leaving.abort();
      await Promise.all(all);

      const next = await post(server, { ...long, max_tokens: NEXT_TOKENS });
      const answer = (await next.json()) as { usage: { completion_tokens: number } };
      expect([next.status, answer.usage.completion_tokens]).toEqual([200, NEXT_TOKENS]);
      const numSteps = (await server.metric('iteration_tokens_total_count')) - stepsAtLeaving;
      await expectAllFree(server);
      const numTokens = (await server.metric('generation_tokens_total')) - tokensBefore;
      console.log(`${form}: ${numTokens} tokens in all, ${numSteps} steps from leaving to the next request's end`);
      expect(numSteps).toBeLessThan(MAX_STEPS_TO_NOTICE);
      expect(numTokens).toBeLessThan((NUM_REQUESTS * MAX_TOKENS) / 10);

      // Nothing runs on in secret: another request costs as many tokens as it has.
      const tokensIdle = await server.metric('generation_tokens_total');
      expect((await post(server, { ...long, max_tokens: NEXT_TOKENS })).status).toBe(200);
      await until(async () => (await server.metric('generation_tokens_total')) >= tokensIdle + NEXT_TOKENS);
      await expectAllFree(server);
      expect(await server.metric('generation_tokens_total')).toBe(tokensIdle + NEXT_TOKENS);
    },
    120_000,
  );
}
