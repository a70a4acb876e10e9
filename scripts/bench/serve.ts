/**
 * A server under load: time to first token, time between tokens and throughput at several numbers of streams at once.
 *
 * Closed loop: each stream sends its next request when the last one has ended. Answers have one length, prompts are random ids
 * of one length, and end-of-sequence tokens are ignored. The whole path is measured: HTTP, tokens to text, SSE.
 * Next: `stream-client.ts`.
 */
import { type ServerProcess, startServer } from '../../test/helpers/server-process.ts';
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

/** Figures of one level. Units: milliseconds, per second. */
interface LevelResult {
  readonly streams: number;
  readonly requests: number;
  readonly firstTokenP50Ms: number;
  readonly firstTokenP99Ms: number;
  readonly interTokenP50Ms: number;
  readonly interTokenP99Ms: number;
  readonly tokensPerSecond: number;
  readonly requestsPerSecond: number;
  /** Throughput as a multiple of one stream's. */
  readonly ratioToOne: number | null;
}

/** At least so many answers, so that one stream gives a median, too. */
const MIN_REQUESTS = 6;
/** Ids that every tokenizer has and that are seldom special. */
const FIRST_TOKEN_ID = 10;
const NUM_TOKEN_IDS = 200;

/** Measures every level and prints a table. Throws: Error when the server refuses a request. */
export async function benchServe(options: ServeOptions): Promise<object> {
  const server = options.url === null ? await startServer({ inheritSettings: true }) : null;
  const target: CompletionTarget = { url: server?.url ?? options.url ?? '', apiKey: options.apiKey };
  try {
    const about = server === null ? { server: target.url } : describe(server);
    for (const [name, value] of Object.entries(about)) console.log(`${name}: ${value}`);
    console.log(`${options.promptTokens} prompt tokens, ${options.maxTokens} tokens per answer\n`);
    const levels: LevelResult[] = [];
    for (const streams of options.levels) {
      const one = levels.find((level) => level.streams === 1);
      levels.push(await measureLevel(target, options, streams, one?.tokensPerSecond ?? null));
    }
    printLevels(levels);
    const { promptTokens, maxTokens, rounds } = options;
    return { ...about, environment: driverEnvironment(), promptTokens, maxTokens, rounds, levels };
  } finally {
    await server?.stop();
  }
}

async function measureLevel(
  target: CompletionTarget,
  options: ServeOptions,
  streams: number,
  oneStreamRate: number | null,
): Promise<LevelResult> {
  const numRequests = Math.max(MIN_REQUESTS, streams * options.rounds);
  await runStreams(target, options, streams, streams); // compiles what this level needs
  const startMs = performance.now();
  const times = await runStreams(target, options, streams, numRequests);
  const seconds = (performance.now() - startMs) / 1000;
  const tokens = times.reduce((sum, one) => sum + one.completionTokens, 0);
  const firsts = times.map((one) => one.firstTokenMs);
  const gaps = times.flatMap((one) => one.interTokenMs);
  const rate = tokens / seconds;
  const base = streams === 1 ? rate : oneStreamRate;
  return {
    streams,
    requests: numRequests,
    firstTokenP50Ms: median(firsts),
    firstTokenP99Ms: quantile(firsts, 0.99),
    interTokenP50Ms: median(gaps),
    interTokenP99Ms: quantile(gaps, 0.99),
    tokensPerSecond: rate,
    requestsPerSecond: numRequests / seconds,
    ratioToOne: base === null ? null : rate / base,
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
    for (let i = numStarted++; i < numRequests; i = numStarted++) {
      const prompt = Array.from(
        { length: promptTokens },
        (_, k) => FIRST_TOKEN_ID + ((i * 37 + k * 11) % NUM_TOKEN_IDS),
      );
      done.push(await measureStream(target, { prompt, max_tokens: maxTokens, temperature: 0, ignore_eos: true }));
    }
  };
  await Promise.all(Array.from({ length: streams }, client));
  return done;
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
function describe(server: ServerProcess): Record<string, string> {
  const line = server.stderrLines.find((text) => / KV blocks of \d+$/.test(text)) ?? 'unknown';
  return { model: server.model, engine: line };
}

/** Settings of a software driver that change its speed. */
function driverEnvironment(): Record<string, string | null> {
  return { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null, GPU_BINDING: process.env.GPU_BINDING ?? null };
}
