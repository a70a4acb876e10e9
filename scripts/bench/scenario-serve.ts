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
import { driverEnvironment } from './serve.ts';
import { type CompletionTarget, measureStream, type StreamTimes } from './stream-client.ts';
import { median, printTable, quantile, short } from './table.ts';

export interface ScenarioOptions {
  /** One after another on the same server. */
  readonly scenarios: readonly ScenarioName[];
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
  /** No level is begun after it; null = no limit. */
  readonly limitMs: number | null;
  /** Gets what is measured so far after every scenario, so that an end by force costs only the one at hand. */
  readonly onProgress: (report: object) => void;
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

/** What one scenario came to. */
interface ScenarioResult {
  readonly scenario: ScenarioName;
  readonly scale: number;
  readonly lengths: Scenario;
  readonly levels: readonly LevelResult[];
  /** Streams; null = more load still paid. */
  readonly knee: number | null;
  readonly prefix: PrefixResult | null;
}

/** A server to be measured, and until when. */
interface ScenarioRun {
  readonly options: ScenarioOptions;
  readonly target: CompletionTarget;
  readonly context: number | null;
  readonly isLate: () => boolean;
}

/** Measures scenarios and prints a table of each. One that fails is named. Throws: Error when all of them fail. */
export async function benchScenarios(options: ScenarioOptions): Promise<object> {
  const startMs = performance.now();
  const isLate = () => options.limitMs !== null && performance.now() - startMs > options.limitMs;
  const server = options.url === null ? await startServer({ inheritSettings: true }) : null;
  const target: CompletionTarget = { url: server?.url ?? options.url ?? '', apiKey: options.apiKey };
  try {
    const context = server?.contextTokens ?? (await contextOf(target));
    const about = { ...describe(server, target), context, environment: driverEnvironment() };
    console.log(`${about.engine}\n`);
    const limits = { firstTokenMs: options.firstTokenLimitMs, interTokenMs: options.interTokenLimitMs };
    const results: ScenarioResult[] = [];
    const failed: string[] = [];
    const report = () => ({ ...about, limits, scenarios: results, failed });
    for (const name of options.scenarios) {
      try {
        if (isLate()) throw new Error('the time is over');
        results.push(await measureScenario({ options, target, context, isLate }, name));
      } catch (error) {
        failed.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
        console.log(`not measured: ${failed.at(-1)}\n`);
      }
      options.onProgress(report());
    }
    if (results.length === 0) throw new Error(failed.join('; '));
    if (options.scenarios.length > 1) printSummary(results);
    return report();
  } finally {
    await server?.stop();
  }
}

async function measureScenario(run: ScenarioRun, name: ScenarioName): Promise<ScenarioResult> {
  const { options, target, context, isLate } = run;
  const published: Scenario = SCENARIOS[name];
  const fit = context === null ? 1 : Math.min(1, (context - 1) / longestTokens(published));
  const factor = options.scale ?? fit;
  const scenario = scaled(published, factor);
  if (context !== null && longestTokens(scenario) > context) {
    throw new Error(`it needs a context of ${longestTokens(scenario)} tokens, the model has ${context}`);
  }
  console.log(`${name}: ${lengthsText(scenario)}`);
  if (factor !== 1)
    console.log(`lengths are ${short(factor)} of the published ones: comparable with nothing published`);
  console.log('');
  const client = new ScenarioClient(target, scenario);
  await client.run(1, 2); // compiles
  const prefix = scenario.prefixTokens > 0 ? await measurePrefix(target, scenario) : null;
  const levels: LevelResult[] = [];
  for (let streams = 1; streams <= options.maxStreams; streams *= 2) {
    if (levels.length > 0 && isLate()) break;
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
    const times = `first token after ${short(coldMs)} ms, then ${short(warmMs)} ms`;
    console.log(`prefix of ${prefixTokens}: ${times}: ${percent}`);
  }
  console.log('');
  return { scenario: name, scale: factor, lengths: scenario, levels, knee: knee?.streams ?? null, prefix };
}

/** One line for each scenario, at its knee, or at the last level where there is none. */
function printSummary(results: readonly ScenarioResult[]): void {
  printTable(
    ['scenario', 'scale', 'knee', 'TTFT p50 ms', 'ITL p50 ms', 'tokens/s', 'goodput/s'],
    results.flatMap(({ scenario, scale, levels, knee }) => {
      const level = levels.find(({ streams }) => streams === knee) ?? levels.at(-1);
      if (level === undefined) return [];
      const figures = [level.firstTokenP50Ms, level.interTokenP50Ms, level.tokensPerSecond, level.goodput].map(short);
      return [[scenario, short(scale), knee ?? `above ${level.streams}`, ...figures]];
    }),
  );
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
