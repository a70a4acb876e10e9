/**
 * A server under a published workload, at twice the load each time until more no longer pays.
 *
 * Closed loop as in `serve.ts`: so many streams at once, each sends its next request when the last one has ended. Prompts have nothing in
 * common but the scenario's own prefix. Goodput counts answers whose first token and whose mean time between tokens kept the limits.
 * Next: `scenarios.ts` (lengths), `knee.ts` (when to stop), `stream-client.ts`.
 */

import { type ServerProcess, startServer } from '../../test/helpers/server-process.ts';
import { isPastKnee, kneeOf } from './knee.ts';
import { FIRST_TOKEN_ID, type LevelFigures, MIN_REQUESTS, NUM_TOKEN_IDS } from './level.ts';
import {
  drawLength,
  longestTokens,
  randomNumbers,
  SCENARIOS,
  type Scenario,
  type ScenarioName,
  scaled,
} from './scenarios.ts';
import { type CompletionTarget, measureStream, type StreamTimes } from './stream-client.ts';
import { median, printTable, quantile, short } from './table.ts';

export interface ScenarioOptions {
  readonly scenario: ScenarioName;
  /** null = start a server. */
  readonly url: string | null;
  readonly apiKey: string;
  readonly maxStreams: number;
  /** Answers per stream at each level. */
  readonly rounds: number;
  /** Lengths are multiplied by it; null = 1, or what fits the model's context. */
  readonly scale: number | null;
  /** What goodput asks for. */
  readonly firstTokenLimitMs: number;
  readonly interTokenLimitMs: number;
}

interface LevelResult extends LevelFigures {
  readonly goodput: number;
}

/** A second request with the first one's prefix, against the first. */
interface PrefixResult {
  readonly prefixTokens: number;
  readonly coldMs: number;
  readonly warmMs: number;
  readonly ratio: number;
}

const PREFIX_ROUNDS = 5;

/** Measures a scenario and prints a table. Throws: Error when the server refuses a request. */
export async function benchScenario(options: ScenarioOptions): Promise<object> {
  const server = options.url === null ? await startServer({ inheritSettings: true }) : null;
  const target: CompletionTarget = { url: server?.url ?? options.url ?? '', apiKey: options.apiKey };
  try {
    const published: Scenario = SCENARIOS[options.scenario];
    const context = server?.contextTokens ?? (await contextOf(target));
    const fit = context === null ? 1 : Math.min(1, (context - 1) / longestTokens(published));
    const factor = options.scale ?? fit;
    const scenario = scaled(published, factor);
    if (context !== null && longestTokens(scenario) > context) {
      throw new Error(
        `${options.scenario} needs a context of ${longestTokens(scenario)} tokens, the model has ${context}`,
      );
    }
    const about = { ...describe(server, target), scenario: options.scenario, scale: factor, lengths: scenario };
    console.log(`${about.engine}\n${options.scenario}: ${lengthsText(scenario)}`);
    if (factor !== 1)
      console.log(`lengths are ${short(factor)} of the published ones: comparable with nothing published`);
    console.log('');
    const client = new ScenarioClient(target, scenario);
    await client.run(1, 2); // compiles
    const prefix = scenario.prefixTokens > 0 ? await measurePrefix(target, scenario) : null;
    const levels: LevelResult[] = [];
    for (let streams = 1; streams <= options.maxStreams; streams *= 2) {
      const level = await measureLevel(client, streams, options);
      const before = levels.at(-1);
      levels.push(level);
      if (before && isPastKnee(before, level)) break;
    }
    const knee = kneeOf(levels);
    printLevels(levels, options);
    console.log(knee === null ? 'no knee up to this load' : `knee: ${knee.streams} streams`);
    if (prefix !== null) {
      const { prefixTokens, coldMs, warmMs, ratio } = prefix;
      const percent = `${(ratio * 100).toFixed(1)} %`;
      console.log(
        `prefix of ${prefixTokens}: first token after ${short(coldMs)} ms, then ${short(warmMs)} ms: ${percent}`,
      );
    }
    const limits = { firstTokenMs: options.firstTokenLimitMs, interTokenMs: options.interTokenLimitMs };
    return { ...about, environment: environment(), limits, levels, knee: knee?.streams ?? null, prefix };
  } finally {
    await server?.stop();
  }
}

/** Makes requests of one scenario, no two alike. */
class ScenarioClient {
  private readonly random = randomNumbers(1);
  private readonly prefix: readonly number[];

  constructor(
    private readonly target: CompletionTarget,
    private readonly scenario: Scenario,
  ) {
    this.prefix = tokenIds(scenario.prefixTokens, this.random);
  }

  /** So many requests through so many streams. */
  async run(streams: number, numRequests: number): Promise<StreamTimes[]> {
    const done: StreamTimes[] = [];
    let numStarted = 0;
    const stream = async () => {
      while (numStarted++ < numRequests) {
        const own = tokenIds(drawLength(this.scenario.prompt, this.random), this.random);
        const answerTokens = drawLength(this.scenario.answer, this.random);
        done.push(await complete(this.target, [...this.prefix, ...own], answerTokens));
      }
    };
    await Promise.all(Array.from({ length: streams }, stream));
    return done;
  }
}

/** Each round has a prefix of its own, so that its first request finds nothing. */
async function measurePrefix(target: CompletionTarget, scenario: Scenario): Promise<PrefixResult> {
  const random = randomNumbers(2);
  const own = () => tokenIds(scenario.prompt.mean, random);
  const cold: number[] = [];
  const warm: number[] = [];
  for (let round = 0; round < PREFIX_ROUNDS; round++) {
    const prefix = tokenIds(scenario.prefixTokens, random);
    cold.push((await complete(target, [...prefix, ...own()], 2)).firstTokenMs);
    warm.push((await complete(target, [...prefix, ...own()], 2)).firstTokenMs);
  }
  const [coldMs, warmMs] = [median(cold), median(warm)];
  return { prefixTokens: scenario.prefixTokens, coldMs, warmMs, ratio: warmMs / coldMs };
}

async function measureLevel(client: ScenarioClient, streams: number, options: ScenarioOptions): Promise<LevelResult> {
  const startMs = performance.now();
  const times = await client.run(streams, Math.max(MIN_REQUESTS, streams * options.rounds));
  const seconds = (performance.now() - startMs) / 1000;
  const firsts = times.map((one) => one.firstTokenMs);
  const gaps = times.flatMap((one) => one.interTokenMs);
  const isGood = ({ firstTokenMs, interTokenMs }: StreamTimes) =>
    firstTokenMs <= options.firstTokenLimitMs && mean(interTokenMs) <= options.interTokenLimitMs;
  return {
    ...{ streams, requests: times.length, requestsPerSecond: times.length / seconds },
    ...{ firstTokenP50Ms: median(firsts), firstTokenP99Ms: quantile(firsts, 0.99) },
    ...{ interTokenP50Ms: median(gaps), interTokenP99Ms: quantile(gaps, 0.99) },
    tokensPerSecond: times.reduce((sum, one) => sum + one.completionTokens, 0) / seconds,
    goodput: times.filter(isGood).length / seconds,
  };
}

function complete(target: CompletionTarget, prompt: readonly number[], answerTokens: number): Promise<StreamTimes> {
  return measureStream(target, { prompt, max_tokens: answerTokens, temperature: 0, ignore_eos: true });
}

function tokenIds(length: number, random: () => number): number[] {
  return Array.from({ length }, () => FIRST_TOKEN_ID + Math.floor(random() * NUM_TOKEN_IDS));
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;
}

/** The context that a running server's model list tells; null when it does not. */
async function contextOf({ url, apiKey }: CompletionTarget): Promise<number | null> {
  const response = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${apiKey}` } });
  const { data } = (await response.json()) as { data?: { max_model_len?: number }[] };
  return data?.[0]?.max_model_len ?? null;
}

function describe(server: ServerProcess | null, { url }: CompletionTarget): { model: string; engine: string } {
  if (server === null) return { model: url, engine: `server at ${url} (its adapter stands in its own log)` };
  const engine = server.stderrLines.find((line) => / KV blocks of \d+$/.test(line)) ?? 'unknown';
  return { model: server.model, engine };
}

function lengthsText({ prompt, answer, prefixTokens }: Scenario): string {
  const text = ({ mean, min, max }: Scenario['prompt']) => (min === max ? `${mean}` : `${mean} (${min} to ${max})`);
  const prefix = prefixTokens > 0 ? `a common beginning of ${prefixTokens} and ` : '';
  return `prompts of ${prefix}${text(prompt)} tokens, answers of ${text(answer)}`;
}

function printLevels(levels: readonly LevelResult[], { firstTokenLimitMs, interTokenLimitMs }: ScenarioOptions): void {
  printTable(
    ['streams', 'TTFT p50 ms', 'p99', 'ITL p50 ms', 'p99', 'tokens/s', 'requests/s', 'goodput/s'],
    levels.map((level) => [
      level.streams,
      ...[level.firstTokenP50Ms, level.firstTokenP99Ms, level.interTokenP50Ms, level.interTokenP99Ms].map(short),
      ...[level.tokensPerSecond, level.requestsPerSecond, level.goodput].map(short),
    ]),
  );
  console.log(
    `goodput: answers with the first token within ${firstTokenLimitMs} ms and ${interTokenLimitMs} ms between tokens`,
  );
}

/** Settings of a software driver that change its speed. */
function environment(): Record<string, string | null> {
  return { LP_NUM_THREADS: process.env.LP_NUM_THREADS ?? null, GPU_BINDING: process.env.GPU_BINDING ?? null };
}
