/**
 * A server under load: time to first token, time between tokens and throughput at several numbers of streams at once.
 *
 * Closed loop: each stream sends its next request when the last one has ended. Answers have one length, prompts are random ids
 * of one length, and end-of-sequence tokens are ignored. The whole path is measured: HTTP, tokens to text, SSE.
 * Next: `stream-client.ts`.
 */

import { type ServerProcess, startServer } from '../../test/helpers/server-process.ts';
import { FIRST_TOKEN_ID, type LevelFigures, MIN_REQUESTS, NUM_TOKEN_IDS } from './level.ts';
import { type CompletionTarget, measureStream, type StreamTimes } from './stream-client.ts';
import { median, printTable, quantile, short } from './table.ts';

export interface ServeOptions {
  /** null = start one. */
  readonly url: string | null;
  readonly apiKey: string;
  readonly levels: readonly number[];
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly rounds: number;
}

interface LevelResult extends LevelFigures {
  /** Throughput as a multiple of one stream's. */
  readonly ratioToOne: number | null;
}

/** Measures every level and prints a table. Throws: Error when the server refuses a request. */
export async function benchServe(options: ServeOptions): Promise<object> {
  const server = options.url === null ? await startServer({ inheritSettings: true }) : null;
  const target: CompletionTarget = { url: server?.url ?? options.url ?? '', apiKey: options.apiKey };
  try {
    const about = server === null ? { server: target.url } : describeServer(server);
    for (const [name, value] of Object.entries(about)) console.log(`${name}: ${value}`);
    console.log(`${options.promptTokens} prompt tokens, ${options.maxTokens} tokens per answer\n`);
    const runs = await runLevels(target, options);
    const base = runs.find((run) => run.streams === 1);
    const levels = runs.map((run) => summarise(run, base ?? null));
    printLevels(levels);
    const { promptTokens, maxTokens, rounds } = options;
    return { ...about, environment: driverEnvironment(), promptTokens, maxTokens, rounds, levels };
  } finally {
    await server?.stop();
  }
}

/** What was measured of one level. */
interface LevelRuns {
  readonly streams: number;
  readonly times: StreamTimes[];
  /** Of each round. Units: per second. */
  readonly tokenRates: number[];
  readonly requestRates: number[];
}

/** Levels take turns, so that what else the machine does falls on all of them alike. */
async function runLevels(target: CompletionTarget, options: ServeOptions): Promise<LevelRuns[]> {
  const runs = options.levels.map((streams): LevelRuns => ({ streams, times: [], tokenRates: [], requestRates: [] }));
  for (const { streams } of runs) await runStreams(target, options, streams, streams); // compiles what each level needs
  for (let round = 0; round < options.rounds; round++) {
    for (const run of runs) {
      const startMs = performance.now();
      const times = await runStreams(target, options, run.streams, Math.max(MIN_REQUESTS, run.streams));
      const seconds = (performance.now() - startMs) / 1000;
      run.times.push(...times);
      run.tokenRates.push(times.reduce((sum, one) => sum + one.completionTokens, 0) / seconds);
      run.requestRates.push(times.length / seconds);
    }
  }
  return runs;
}

function summarise(run: LevelRuns, base: LevelRuns | null): LevelResult {
  const firsts = run.times.map((one) => one.firstTokenMs);
  const gaps = run.times.flatMap((one) => one.interTokenMs);
  const rate = median(run.tokenRates);
  return {
    streams: run.streams,
    requests: run.times.length,
    firstTokenP50Ms: median(firsts),
    firstTokenP99Ms: quantile(firsts, 0.99),
    interTokenP50Ms: median(gaps),
    interTokenP99Ms: quantile(gaps, 0.99),
    tokensPerSecond: rate,
    requestsPerSecond: median(run.requestRates),
    ratioToOne: base === null ? null : rate / median(base.tokenRates),
  };
}

async function runStreams(
  target: CompletionTarget,
  { promptTokens, maxTokens }: ServeOptions,
  streams: number,
  numRequests: number,
): Promise<StreamTimes[]> {
  const done: StreamTimes[] = [];
  let numStarted = 0;
  const client = async () => {
    while (numStarted++ < numRequests) {
      const prompt = uniquePrompt(promptTokens);
      done.push(await measureStream(target, { prompt, max_tokens: maxTokens, temperature: 0, ignore_eos: true }));
    }
  };
  await Promise.all(Array.from({ length: streams }, client));
  return done;
}

let numPrompts = 0;

/** Ids that begin like no other prompt of this run: nothing of it can be in the server's cache. */
export function uniquePrompt(length: number): number[] {
  let state = Math.imul(++numPrompts, 0x9e3779b1) >>> 0;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return FIRST_TOKEN_ID + ((state >>> 16) % NUM_TOKEN_IDS);
  });
}

function printLevels(levels: readonly LevelResult[]): void {
  printTable(
    ['streams', 'TTFT p50 ms', 'p99', 'ITL p50 ms', 'p99', 'tokens/s', 'requests/s', 'x one stream'],
    levels.map((level) => [
      level.streams,
      short(level.firstTokenP50Ms),
      short(level.firstTokenP99Ms),
      short(level.interTokenP50Ms),
      short(level.interTokenP99Ms),
      short(level.tokensPerSecond),
      short(level.requestsPerSecond),
      level.ratioToOne === null ? '-' : short(level.ratioToOne),
    ]),
  );
}

/** What the server says about itself when it is ready: architecture, adapter and binding. */
export function describeServer(server: ServerProcess): Record<string, string> {
  const line = server.stderrLines.find((text) => / KV blocks of \d+$/.test(text)) ?? 'unknown';
  return { model: server.model, engine: line };
}

/** Settings of a software driver that change its speed. */
export function driverEnvironment(): Record<string, string | null> {
  return { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null, GPU_BINDING: process.env.GPU_BINDING ?? null };
}
