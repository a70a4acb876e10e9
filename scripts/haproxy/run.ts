/**
 * Three replicas behind HAProxy, one of which is stopped under load: counts the requests that fail. `bun scripts/haproxy/run.ts --help`.
 *
 * With the time that a replica gives its balancer (`DRAIN_DELAY`), and without it for comparison. The proxy repeats nothing. Needs
 * `haproxy` on the path. Its table is in `docs/operations.md`. Next: `balancer.ts`.
 */
import { parseArgs } from 'node:util';
import { longContextModel } from '../../test/helpers/long-context.ts';
import { type ServerProcess, startServer } from '../../test/helpers/server-process.ts';
import { measureStream } from '../bench/stream-client.ts';
import { median, printTable, quantile } from '../bench/table.ts';
import { haproxyVersion, startBalancer } from './balancer.ts';

const NAMES = ['a', 'b', 'c'];
const STOPPED = 1;
/** Share of the requests that have been sent when the replica is told to stop. */
const STOP_AT = 0.25;

const { values: options } = parseArgs({
  options: {
    requests: { type: 'string', default: '400' },
    'max-tokens': { type: 'string', default: '400' },
    concurrency: { type: 'string', default: '24' },
    'drain-delays': { type: 'string', default: '5,0' },
    help: { type: 'boolean', default: false },
  },
});

interface Outcome {
  readonly drainDelay: string;
  readonly finished: number;
  readonly failures: readonly string[];
  readonly requestsByReplica: readonly number[];
  readonly retries: number;
  /** Sent by the balancer to the replica that was told to stop, after that. */
  readonly takenWhileStopping: number;
  /** From SIGTERM. Units: seconds. */
  readonly downAfter: number;
  readonly exitedAfter: number;
  readonly exitCode: number | null;
  readonly firstTokenMs: readonly number[];
  readonly seconds: number;
}

async function runOnce(drainDelay: string, numRequests: number, concurrency: number): Promise<Outcome> {
  const longContext = longContextModel();
  const env = { ...longContext.env, DRAIN_DELAY: drainDelay, LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? '0' };
  const servers: ServerProcess[] = [];
  // One after the other: they compile the same shaders.
  for (const _ of NAMES) servers.push(await startServer({ env }));
  const replicas = NAMES.map((name, i) => ({ name, port: servers[i]?.port ?? 0 }));
  const balancer = await startBalancer(replicas);
  const [victim, victimName] = [servers[STOPPED], NAMES[STOPPED] ?? ''];
  if (victim === undefined) throw new Error('there is no replica to stop');

  const startMs = performance.now();
  const failures: string[] = [];
  const firstTokenMs: number[] = [];
  const sinceMs = (fromMs: number): number => (performance.now() - fromMs) / 1000;
  let stopping: Promise<{ before: number; downAfter: number; exitedAfter: number; exitCode: number | null }> | null =
    null;
  const stopVictim = async () => {
    const before = (await balancer.counts(victimName)).requests;
    const fromMs = performance.now();
    const down = balancer.isDown(victimName).then(() => sinceMs(fromMs));
    const exitCode = await victim.stop();
    return { before, exitedAfter: sinceMs(fromMs), downAfter: await down, exitCode };
  };
  let numStarted = 0;
  const client = async () => {
    for (let i = numStarted++; i < numRequests; i = numStarted++) {
      if (i === Math.floor(numRequests * STOP_AT)) stopping = stopVictim();
      const body = { prompt: [1 + (i % 200), 7], max_tokens: Number(options['max-tokens']), ignore_eos: true, seed: i };
      try {
        const times = await measureStream({ url: balancer.url, apiKey: '' }, body);
        if (times.completionTokens !== body.max_tokens) throw new Error(`${times.completionTokens} tokens came`);
        firstTokenMs.push(times.firstTokenMs);
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  const seconds = sinceMs(startMs);
  const stopped = await (stopping ?? stopVictim());
  const counts = await Promise.all(NAMES.map((name) => balancer.counts(name)));
  await balancer.stop();
  await Promise.all(servers.map((server) => server.stop()));
  longContext.remove();
  return {
    drainDelay,
    finished: firstTokenMs.length,
    failures,
    requestsByReplica: counts.map(({ requests }) => requests),
    retries: counts.reduce((total, { retries }) => total + retries, 0),
    takenWhileStopping: (counts[STOPPED]?.requests ?? 0) - stopped.before,
    downAfter: stopped.downAfter,
    exitedAfter: stopped.exitedAfter,
    exitCode: stopped.exitCode,
    firstTokenMs,
    seconds,
  };
}

async function main(): Promise<void> {
  if (options.help) {
    console.log('bun scripts/haproxy/run.ts [--requests N] [--max-tokens N] [--concurrency N] [--drain-delays S,S]');
    return;
  }
  const version = haproxyVersion();
  if (version === null) throw new Error('haproxy is not installed');
  const numRequests = Number(options.requests);
  const concurrency = Number(options.concurrency);
  console.log(
    `HAProxy ${version}, 3 replicas, ${numRequests} streams of ${options['max-tokens']} tokens, ${concurrency} at once\n`,
  );
  const outcomes: Outcome[] = [];
  for (const drainDelay of options['drain-delays'].split(',')) {
    outcomes.push(await runOnce(drainDelay, numRequests, concurrency));
  }
  const fixed = (value: number) => value.toFixed(1);
  printTable(
    [
      'DRAIN_DELAY',
      'finished',
      'failed',
      'by replica',
      'retries',
      'taken stopping',
      'down after',
      'exit after',
      'p50',
      'p99',
      's',
    ],
    outcomes.map((each) => [
      `${each.drainDelay} s`,
      each.finished,
      each.failures.length,
      each.requestsByReplica.join('/'),
      each.retries,
      each.takenWhileStopping,
      `${fixed(each.downAfter)} s`,
      `${fixed(each.exitedAfter)} s (${each.exitCode})`,
      `${fixed(median(each.firstTokenMs))} ms`,
      `${fixed(quantile(each.firstTokenMs, 0.99))} ms`,
      fixed(each.seconds),
    ]),
  );
  for (const { drainDelay, failures } of outcomes) {
    for (const failure of new Set(failures)) console.log(`DRAIN_DELAY=${drainDelay}: ${failure}`);
  }
  // Without the delay failures are to be expected; with it there must be none.
  const isBroken = outcomes.some(
    ({ drainDelay, failures, exitCode }) => drainDelay !== '0' && (failures.length > 0 || exitCode !== 0),
  );
  process.exit(isBroken ? 1 : 0);
}

await main();
