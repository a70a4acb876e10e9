/**
 * Many requests for long: memory stays flat, nothing is left behind, and many streams at once all finish.
 *
 * `WGSLM_SOAK_REQUESTS` sets how many (the default suits every run of the tests).
 */
import { expect } from 'bun:test';
import { residentBytes, type ServerProcess, until } from '../helpers/server-process.ts';
import { openStream } from './sse.ts';
import { serverSuite, tinyModel } from './suite.ts';

const NUM_REQUESTS = Number(process.env.WGSLM_SOAK_REQUESTS ?? 10_000);
const CONCURRENCY = 64;
/** Share of the requests after which memory must be flat: heaps grow to their working size first. */
const WARM_UP_SHARE = 0.25;
const SAMPLE_EVERY = Math.max(1, Math.floor(NUM_REQUESTS / 300));
const ALLOWED_GROWTH = 1.05;
const NUM_STREAMS = 256;

/**
 * A heap may hold as much garbage as live objects before it is collected, which hides slow leaks and looks like one. With a small
 * "machine" JavaScriptCore collects after every few MiB. Units: bytes.
 */
const COLLECT_OFTEN = { BUN_JSC_forceRAMSize: String(32 * 2 ** 20) };

const suite = serverSuite({ MODEL_NAME: tinyModel('tiny-llama'), ...COLLECT_OFTEN });

async function expectAllFree(server: ServerProcess): Promise<void> {
  for (const gauge of ['num_requests_running', 'num_requests_waiting', 'kv_cache_usage_perc']) {
    await until(async () => (await server.metric(gauge)) === 0);
  }
}

/** Sends requests of one or two tokens, so many at a time. */
async function runRequests(
  server: ServerProcess,
  numRequests: number,
  concurrency: number,
  onDone: (numDone: number) => void = () => {},
): Promise<void> {
  let numStarted = 0;
  let numDone = 0;
  const client = async () => {
    for (let i = numStarted++; i < numRequests; i = numStarted++) {
      const maxTokens = 1 + (i % 2);
      const response = await fetch(`${server.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        // Prompts of different lengths and, now and then, sampling: the ways through the engine that differ.
        body: JSON.stringify({
          prompt: Array.from({ length: 1 + (i % 7) }, (_, k) => (i * 31 + k * 17) % 256),
          max_tokens: maxTokens,
          temperature: i % 4 === 0 ? 1 : 0,
          ignore_eos: true,
        }),
      });
      const answer = (await response.json()) as { usage?: { completion_tokens: number } };
      expect([response.status, answer.usage?.completion_tokens]).toEqual([200, maxTokens]);
      onDone(++numDone);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Medians of the first and the last third. */
function firstAndLastThird(values: readonly number[]): [number, number] {
  const third = Math.floor(values.length / 3);
  return [median(values.slice(0, third)), median(values.slice(-third))];
}

suite.test(
  `${NUM_REQUESTS} short requests leave memory flat and all blocks free`,
  async (server) => {
    const engine = server.enginePid();
    if (engine === null) throw new Error('there is no engine process');
    // Every kernel variant is compiled before memory is compared: few sequences take other ones than many.
    for (const concurrency of [1, 2, 4, 8, 16, CONCURRENCY]) await runRequests(server, 8 * concurrency, concurrency);
    const samples: { server: number; engine: number }[] = [];
    await runRequests(server, NUM_REQUESTS, CONCURRENCY, (numDone) => {
      if (numDone < NUM_REQUESTS * WARM_UP_SHARE || numDone % SAMPLE_EVERY !== 0) return;
      samples.push({ server: residentBytes(server.pid), engine: residentBytes(engine) });
    });
    await expectAllFree(server);
    for (const name of ['server', 'engine'] as const) {
      const [first, last] = firstAndLastThird(samples.map((sample) => sample[name]));
      const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
      console.log(`${name}: ${mib(first)} MiB in the first third after warm-up, ${mib(last)} MiB in the last`);
      expect(first).toBeGreaterThan(0);
      expect(last / first).toBeLessThan(ALLOWED_GROWTH);
    }
  },
  600_000,
);

suite.test(
  `${NUM_STREAMS} streams at once all finish`,
  async (server) => {
    const body = { max_tokens: 16, temperature: 0, ignore_eos: true };
    const streams = await Promise.all(
      Array.from({ length: NUM_STREAMS }, (_, i) => openStream(server.url, { ...body, prompt: [i % 256, 7] })),
    );
    const ends = await Promise.all(streams.map(async (stream) => (await stream.frames).at(-1)));
    expect(ends).toEqual(Array.from({ length: NUM_STREAMS }, () => '[DONE]'));
    await expectAllFree(server);
  },
  300_000,
);
