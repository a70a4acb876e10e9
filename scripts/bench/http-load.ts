/**
 * What other HTTP work costs those who stream: decode throughput alone, and beside a steady rate of large request bodies.
 *
 * The bodies are long prompts of token ids that the server reads, parses, checks and refuses, so that they reach no GPU. Rounds with and
 * without them take turns. The clients of both run in this process: on few cores its own work is part of what is measured.
 * Next: `serve.ts` (plain levels), `stream-client.ts`.
 */
import { type ServerProcess, startServer } from '../../test/helpers/server-process.ts';
import { FIRST_TOKEN_ID, NUM_TOKEN_IDS } from './level.ts';
import { describeServer, driverEnvironment, uniquePrompt } from './serve.ts';
import { type CompletionTarget, measureStream } from './stream-client.ts';
import { median, printTable, quantile, short } from './table.ts';

export interface HttpLoadOptions {
  /** null = start one. */
  readonly url: string | null;
  readonly apiKey: string;
  readonly streams: number;
  /** Units: requests per second. */
  readonly rate: number;
  readonly bodyKib: number;
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly rounds: number;
}

interface Round {
  /** Units: per second. */
  readonly tokenRate: number;
  readonly interTokenMs: readonly number[];
  /** Times of the bodies' answers. */
  readonly bodyMs: readonly number[];
}

/** Measures both kinds of rounds and prints a table. Throws: Error when the server refuses a stream or takes a body. */
export async function benchHttpLoad(options: HttpLoadOptions): Promise<object> {
  const server: ServerProcess | null = options.url === null ? await startServer({ inheritSettings: true }) : null;
  const target: CompletionTarget = { url: server?.url ?? options.url ?? '', apiKey: options.apiKey };
  try {
    const about = server === null ? { server: target.url } : describeServer(server);
    for (const [name, value] of Object.entries(about)) console.log(`${name}: ${value}`);
    const { streams, rate, bodyKib, rounds } = options;
    console.log(`${streams} streams; beside them ${rate} bodies of ${bodyKib} KiB a second\n`);
    const body = refusedBody(bodyKib);
    await runRound(target, options, null);
    const alone: Round[] = [];
    const beside: Round[] = [];
    for (let round = 0; round < rounds; round++) {
      alone.push(await runRound(target, options, null));
      beside.push(await runRound(target, options, body));
    }
    const figures = { alone: summary(alone), beside: summary(beside) };
    const lost = 1 - figures.beside.tokensPerSecond / figures.alone.tokensPerSecond;
    printTable(
      ['', 'tokens/s', 'ITL p50 ms', 'p99', 'bodies/s', 'body p50 ms', 'p99'],
      Object.entries(figures).map(([name, one]) => [
        ...[name, short(one.tokensPerSecond), short(one.interTokenP50Ms), short(one.interTokenP99Ms)],
        ...[short(one.bodiesPerSecond), short(one.bodyP50Ms ?? 0), short(one.bodyP99Ms ?? 0)],
      ]),
    );
    console.log(`throughput lost: ${(lost * 100).toFixed(1)} %\n`);
    return { ...about, environment: driverEnvironment(), ...{ streams, rate, bodyKib, rounds }, ...figures, lost };
  } finally {
    await server?.stop();
  }
}

async function runRound(target: CompletionTarget, options: HttpLoadOptions, body: string | null): Promise<Round> {
  const { streams, promptTokens, maxTokens, rate } = options;
  const startMs = performance.now();
  const bodies = body === null ? null : new BodyStream(target, body, rate);
  const times = await Promise.all(
    Array.from({ length: streams }, () =>
      measureStream(target, {
        ...{ prompt: uniquePrompt(promptTokens), max_tokens: maxTokens, temperature: 0, ignore_eos: true },
      }),
    ),
  );
  const seconds = (performance.now() - startMs) / 1000;
  return {
    tokenRate: times.reduce((sum, one) => sum + one.completionTokens, 0) / seconds,
    interTokenMs: times.flatMap((one) => one.interTokenMs),
    bodyMs: (await bodies?.stop()) ?? [],
  };
}

function summary(rounds: readonly Round[]) {
  const gaps = rounds.flatMap((round) => round.interTokenMs);
  const bodies = rounds.flatMap((round) => round.bodyMs);
  const seconds = rounds.reduce((sum, round) => sum + round.interTokenMs.length / round.tokenRate, 0);
  return {
    tokensPerSecond: median(rounds.map((round) => round.tokenRate)),
    interTokenP50Ms: median(gaps),
    interTokenP99Ms: quantile(gaps, 0.99),
    bodiesPerSecond: bodies.length / seconds,
    bodyP50Ms: bodies.length === 0 ? null : median(bodies),
    bodyP99Ms: bodies.length === 0 ? null : quantile(bodies, 0.99),
  };
}

/** Sends one body after another at a steady rate, however long the answers take. */
class BodyStream {
  private readonly pending: Promise<void>[] = [];
  private readonly times: number[] = [];
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly target: CompletionTarget,
    private readonly body: string,
    rate: number,
  ) {
    this.timer = setInterval(() => this.pending.push(this.send()), 1000 / rate);
  }

  /** Resolves to the times of all answers. Units: milliseconds. */
  async stop(): Promise<readonly number[]> {
    clearInterval(this.timer);
    await Promise.all(this.pending);
    return this.times;
  }

  private async send(): Promise<void> {
    const startMs = performance.now();
    const response = await fetch(`${this.target.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.target.apiKey}` },
      body: this.body,
    });
    await response.text();
    if (response.status !== 400) throw new Error(`a body that must be refused was answered with ${response.status}`);
    this.times.push(performance.now() - startMs);
  }
}

/** A prompt of so many ids that asks for more tokens than any context has: read and checked to its end, then refused. */
function refusedBody(kib: number): string {
  const bytesPerId = String(FIRST_TOKEN_ID + NUM_TOKEN_IDS).length + 1;
  const prompt = uniquePrompt(Math.floor((kib * 1024) / bytesPerId));
  return JSON.stringify({ prompt, max_tokens: 2 ** 30 });
}
