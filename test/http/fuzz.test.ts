/**
 * No body whatever gives a 5xx, a hang, a leak, or a request that an engine cannot hold: thousands of nearly right requests to every
 * POST route.
 *
 * The seed is fixed. By hand: `WGSLM_FUZZ_CASES` and `WGSLM_FUZZ_SEED`; a failure names the case, which comes again with the same seed.
 */
import { expect, test } from 'bun:test';
import { systemClock } from '../../src/jobs/service/clock.ts';
import { InFlight } from '../../src/serving/in-flight.ts';
import { postSchemas } from '../helpers/body-schemas.ts';
import { breaches } from '../helpers/engine-contract.ts';
import { type FuzzCase, fuzzCases } from '../helpers/fuzz-cases.ts';
import { says } from '../helpers/test-app.ts';
import { jobSetup } from '../unit/jobs/job-setup.ts';

const NUM_CASES = Number(process.env.WGSLM_FUZZ_CASES ?? 5000);
/** Heaps and stores grow to their working size before memory is compared. */
const NUM_WARM_UP = NUM_CASES;
const SEED = Number(process.env.WGSLM_FUZZ_SEED ?? 20_240_607);
/** Far beyond what a case takes on a busy machine: what is slower hangs. */
const HANG_MS = 20_000;
const SAMPLE_EVERY = Math.max(1, Math.floor(NUM_CASES / 60));
const ALLOWED_GROWTH = 1.06;
const MOST_IDS = 50;

function setup() {
  const limits = { maxSequences: 256, maxQueuedTokens: 65_536 };
  const inFlight = new InFlight({ limits: () => limits, nowMs: () => performance.now(), random: () => 0.5 });
  return jobSetup(says('hello 👍 world'), {
    deps: { inFlight },
    settings: { maxNSequences: 64 },
    service: {
      clock: systemClock,
      limits: { maxQueued: 100, maxHeldChars: 1 << 20, maxOutputChars: 1 << 18 },
      // Nothing leaves this process.
      postWebhook: () => Promise.resolve(200),
    },
  });
}

/** Rejects when nothing comes of it. */
async function orHangs<T>(work: Promise<T>, name: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hangs: ${name}`)), HANG_MS);
  });
  try {
    return await Promise.race([work, hang]);
  } finally {
    clearTimeout(timer);
  }
}

async function readAnswer(response: Response, leaves: boolean): Promise<string> {
  if (!leaves || response.body === null) return response.text();
  const reader = response.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return new TextDecoder().decode(value as Uint8Array | undefined);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

test(`${NUM_CASES} nearly right requests: no fault of ours, no hang, memory flat`, async () => {
  const subject = setup();
  const schemas = await postSchemas((path) => subject.call('GET', path));
  const ids: string[] = [];
  const statuses = new Map<string, Map<number, number>>();
  const residents: number[] = [];

  const send = async (one: FuzzCase): Promise<[number, string]> => {
    const init = { method: 'POST', headers: one.headers, body: one.body };
    const response = await subject.app.handle(new Request(`http://localhost${one.path}`, init));
    return [response.status, await readAnswer(response, one.leaves)];
  };

  let index = 0;
  for (const one of fuzzCases(schemas, SEED, ids)) {
    if (index === NUM_WARM_UP + NUM_CASES) break;
    const body = one.body instanceof Uint8Array ? `bytes ${Buffer.from(one.body).toString('base64')}` : one.body;
    const name = `case ${index} of seed ${SEED}: POST ${one.path} ${JSON.stringify(one.headers)} ${body?.slice(0, 2000)}`;
    const [status, text] = await orHangs(send(one), name);
    const isFault = (status >= 500 && status !== 503) || /"code":5\d\d/.test(text.replaceAll('"code":503', ''));
    if (isFault || subject.reported.length > 0) {
      throw new Error(`${status} ${text.slice(0, 500)}\n${name}`, { cause: subject.reported[0] });
    }
    if (status >= 400 && !one.leaves) expect([name, isErrorBody(text)]).toEqual([name, true]);
    const id = /"id":"((sync-)?[0-9a-f-]{36}|resp_[0-9a-f]{32})"/.exec(text)?.[1];
    if (id !== undefined) ids.push(id);
    for (const request of subject.engine.requests) {
      expect([name, breaches(request, subject.engine.info)]).toEqual([name, []]);
    }
    // What the test itself remembers must not look like a leak.
    if (ids.length > MOST_IDS) ids.splice(0, ids.length - MOST_IDS);
    subject.engine.requests.length = 0;
    subject.engine.aborted.length = 0;
    const counts = statuses.get(one.route) ?? new Map<number, number>();
    statuses.set(one.route, counts.set(status, (counts.get(status) ?? 0) + 1));
    if (++index < NUM_WARM_UP || index % SAMPLE_EVERY !== 0) continue;
    // Garbage that waits for its collection is no leak.
    Bun.gc(true);
    residents.push(process.memoryUsage.rss());
  }

  // Jobs and responses in the background end by themselves.
  await orHangs(subject.engine.idle(), 'the engine after all cases');
  expect(subject.engine.numRunning).toBe(0);
  expect((await subject.call('GET', '/health')).status).toBe(200);

  // The cases must be nearly right: each route says yes sometimes, and no sometimes.
  for (const [route, schema] of schemas) {
    const counts = statuses.get(route) ?? new Map<number, number>();
    if (schema !== null) expect([route, counts.has(200), counts.has(400)]).toEqual([route, true, true]);
  }
  const total = new Map<number, number>();
  for (const counts of statuses.values()) {
    for (const [status, count] of counts) total.set(status, (total.get(status) ?? 0) + count);
  }
  const third = Math.floor(residents.length / 3);
  const [second, last] = [median(residents.slice(third, 2 * third)), median(residents.slice(-third))];
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const shown = [...total].toSorted(([a], [b]) => a - b).map(([status, count]) => `${count} x ${status}`);
  console.log(`${shown.join(', ')}; ${mib(second)} MiB in the second third, ${mib(last)} MiB in the last`);
  expect(last / second).toBeLessThan(ALLOWED_GROWTH);
}, 300_000);

/** The object of errors of this server, or Anthropic's; a probe says nothing. */
function isErrorBody(text: string): boolean {
  if (text === '') return true;
  const { error } = JSON.parse(text) as { error?: { message?: unknown; type?: unknown } };
  return typeof error?.message === 'string' && typeof error.type === 'string';
}
