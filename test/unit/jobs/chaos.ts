/**
 * A queue that behaves badly, and the count of what became of its jobs.
 *
 * The queue's own view decides: a job is finished or failed when a result arrived, stopped when the queue asked for that, left when nothing
 * came. Draws are seeded; the order of requests is not, so that every run is a little different. Used by `chaos.test.ts` and
 * `scripts/runpod/chaos.ts`.
 */
import { defaultJobSettings } from '../../../src/jobs/job-settings.ts';
import { idsOf } from '../../helpers/test-app.ts';
import { jobSetup } from './job-setup.ts';
import { QuickPace, startBefore } from './queue-setup.ts';
import { type Asked, ScriptedQueue, type Step } from './scripted-queue.ts';

/** Shares of requests, 0 to 1. */
export interface Chaos {
  readonly name: string;
  readonly slow?: number;
  readonly tooMany?: number;
  readonly serverError?: number;
  /** The connection breaks before the request counts. */
  readonly cut?: number;
  /** The request counts, but its answer never arrives. */
  readonly cutAfter?: number;
  /** Jobs that are handed out again while they run. */
  readonly duplicate?: number;
  /** Jobs without an input. */
  readonly malformed?: number;
  /** Jobs whose input is refused. */
  readonly bad?: number;
  /** Running jobs that are stopped. */
  readonly stop?: number;
}

export interface ChaosCount {
  readonly jobs: number;
  readonly finished: number;
  readonly failed: number;
  readonly stopped: number;
  readonly left: number;
  /** Taken, never answered, never stopped, and the worker is gone. */
  readonly lost: number;
  /** Two different results. */
  readonly answeredTwice: number;
  /** The same result again, because the answer to the first was cut off. */
  readonly repeated: number;
  readonly wrongText: number;
  readonly requests: number;
}

const text = 'the quick brown fox jumps over the lazy dog';

interface QueueJob {
  readonly id: string;
  readonly input: unknown;
  readonly expects: 'text' | 'failure';
}

/** Plays `numJobs` jobs under the faults and counts. */
export async function playChaos(chaos: Chaos, numJobs: number, seed: number): Promise<ChaosCount> {
  const random = seeded(seed);
  const hits = (share = 0): boolean => random() < share;
  const jobs = new Map<string, QueueJob>();
  for (let i = 0; i < numJobs; i++) {
    const job = makeJob(i, hits(chaos.malformed), hits(chaos.bad), random());
    jobs.set(job.id, job);
  }
  const pending = [...jobs.values()];
  const taken = new Set<string>();
  const stopAsked = new Set<string>();
  const results = new Map<string, string[]>();
  let wakeStops: () => void = () => {};

  const fault = async (): Promise<Step | null> => {
    if (hits(chaos.slow)) for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (hits(chaos.tooMany)) return { status: 429 };
    if (hits(chaos.serverError)) return { status: 500, text: 'broken' };
    return hits(chaos.cut) ? { cut: true } : null;
  };

  const onTake = async (asked: Omit<Asked, 'answer'>): Promise<Step | null> => {
    const broken = await fault();
    if (broken !== null) return broken;
    if (pending.length === 0) return null;
    const room = Number(/batch_size=(\d+)/.exec(asked.url)?.[1] ?? 1);
    const given = pending.splice(0, room);
    for (const job of given) taken.add(job.id);
    const running = [...taken].filter((id) => !results.has(id));
    const again = running.filter(() => hits(chaos.duplicate)).map((id) => jobs.get(id));
    if (hits(chaos.stop) && running.length > 0) {
      stopAsked.add(running[Math.floor(random() * running.length)] ?? '');
      wakeStops();
    }
    const batch = [...given, ...again].map((job) =>
      job?.input === undefined ? { id: job?.id } : { id: job.id, input: job.input },
    );
    // A job that names nobody is never counted: nobody could be told.
    return { json: chaos.malformed && hits(0.2) ? [{ input: {} }, 7, ...batch] : batch };
  };

  const told = new Set<string>();
  const onStop = async (): Promise<Step | null> => {
    const ids = [...stopAsked].filter((id) => !told.has(id) && !results.has(id));
    if (ids.length === 0) {
      await new Promise<void>((resolve) => {
        wakeStops = resolve;
      });
      return { status: 204 };
    }
    for (const id of ids) told.add(id);
    return { json: { jobsToStop: ids } };
  };

  const onResult = async (asked: Omit<Asked, 'answer'>): Promise<Step | null> => {
    const broken = await fault();
    if (broken !== null) return broken;
    const id = asked.headers['x-request-id'] ?? '';
    results.set(id, [...(results.get(id) ?? []), JSON.stringify(asked.body)]);
    return hits(chaos.cutAfter) ? { cut: true } : {};
  };

  const queue = await ScriptedQueue.start({}, (asked) => {
    if (asked.channel === 'take') return onTake(asked);
    if (asked.channel === 'stop') return onStop();
    return asked.channel === 'result' ? onResult(asked) : fault();
  });
  const setup = jobSetup(() => idsOf(text), { jobs: defaultJobSettings });
  const { worker } = startBefore(queue, {
    handler: setup.handler,
    maxConcurrency: 16,
    engine: setup.engine,
    pace: new QuickPace(),
  });
  const isSettled = (): boolean => pending.length === 0 && [...taken].every((id) => results.has(id) || told.has(id));
  await queue.until(isSettled);
  queue.release();
  wakeStops();
  const stopped = worker.stop();
  const waking = setInterval(() => wakeStops(), 1);
  await stopped;
  clearInterval(waking);
  await queue.close();

  const answered = [...results.entries()];
  const isFailure = ([, [body]]: [string, string[]]): boolean => body?.startsWith('{"error"') ?? false;
  const unanswered = [...taken].filter((id) => !results.has(id));
  return {
    jobs: numJobs,
    finished: answered.filter((entry) => !isFailure(entry)).length,
    failed: answered.filter(isFailure).length,
    stopped: unanswered.filter((id) => told.has(id)).length,
    left: pending.length,
    lost: unanswered.filter((id) => !told.has(id)).length,
    answeredTwice: answered.filter(([, bodies]) => new Set(bodies).size > 1).length,
    repeated: answered.reduce((sum, [, bodies]) => sum + bodies.length - 1, 0),
    wrongText: answered.filter(([id, [body]]) => !isExpected(jobs.get(id), body ?? '')).length,
    requests: queue.asked.length,
  };
}

function makeJob(index: number, isMalformed: boolean, isBad: boolean, kind: number): QueueJob {
  const id = `job-${index}`;
  if (isMalformed) return { id, input: undefined, expects: 'failure' };
  if (isBad) return { id, input: { prompt: 'a', sampling_params: { heat: 1 } }, expects: 'failure' };
  const sampling = { max_tokens: 100, temperature: 0 };
  const chat = { messages: [{ role: 'user', content: 'a' }], ...sampling };
  const inputs = [
    { prompt: 'a', stream: true, sampling_params: sampling },
    { prompt: 'a', sampling_params: sampling },
    { openai_route: '/v1/chat/completions', openai_input: { ...chat, stream: true } },
    { openai_route: '/v1/chat/completions', openai_input: chat },
  ];
  return { id, input: inputs[Math.floor(kind * inputs.length)], expects: 'text' };
}

function isExpected(job: QueueJob | undefined, body: string): boolean {
  if (job?.expects === 'failure') return body.startsWith('{"error":');
  return textOf(JSON.parse(body)) === text;
}

/** All text in a result, in order, of whichever form. */
export function textOf(result: unknown): string {
  const { output } = result as { output: unknown[] };
  if (typeof output[0] === 'string') {
    const frames = output
      .join('')
      .split('\n\n')
      .filter((frame) => frame.startsWith('data: {'));
    return frames.map((frame) => deltaOf(JSON.parse(frame.slice('data: '.length)))).join('');
  }
  return output.map((part) => ('usage' in (part as object) ? partOf(part) : '')).join('');
}

function partOf(part: unknown): string {
  const [choice] = (part as { choices: { tokens?: string[]; message?: { content: string } }[] }).choices;
  return choice?.tokens?.join('') ?? choice?.message?.content ?? '';
}

function deltaOf(chunk: unknown): string {
  return (chunk as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content ?? '';
}

/** Numbers from 0 to 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const chaosKinds: readonly Chaos[] = [
  { name: 'a good queue' },
  { name: 'slow', slow: 0.5 },
  { name: 'too many requests', tooMany: 0.25 },
  { name: 'server errors', serverError: 0.25 },
  { name: 'cut connections', cut: 0.2 },
  { name: 'answers cut off', cutAfter: 0.2 },
  { name: 'malformed and refused jobs', malformed: 0.2, bad: 0.2 },
  { name: 'duplicate ids', duplicate: 0.5 },
  { name: 'stops for running jobs', stop: 0.7, slow: 0.3 },
  {
    name: 'all at once',
    slow: 0.2,
    tooMany: 0.07,
    serverError: 0.07,
    cut: 0.07,
    cutAfter: 0.1,
    malformed: 0.1,
    bad: 0.1,
    duplicate: 0.2,
    stop: 0.3,
  },
];
