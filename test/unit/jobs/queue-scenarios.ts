/**
 * What the queue does in each recording, and when the recording ends.
 *
 * Jobs of the recordings say themselves what they put out: `{"yields": [...]}`, then one of `{"fail": "text"}` and `{"hold": true}`.
 */
import type { QueueScript, ScriptedQueue } from './scripted-queue.ts';

export interface Scenario {
  readonly name: string;
  readonly concurrency: number;
  readonly script: QueueScript;
  readonly isOver: (queue: ScriptedQueue) => boolean;
}

const job = (id: string, input: object = { yields: ['a', 'b'] }) => ({ id, input });

/** All of the script was played, so many results came, and the worker waits for more jobs. */
const after =
  (numResults: number) =>
  (queue: ScriptedQueue): boolean =>
    queue.asked.filter(({ channel }) => channel === 'result').length >= numResults &&
    queue.asked.some(({ channel, answer }) => channel === 'take' && answer === 'held');

export const scenarios: readonly Scenario[] = [
  {
    name: 'one job',
    concurrency: 1,
    script: { takes: [{ json: job('job-1', { yields: [{ n: 1 }, 'zwei', [3]] }) }] },
    isOver: after(1),
  },
  {
    name: 'text beyond ASCII',
    concurrency: 1,
    script: { takes: [{ json: job('job-1', { yields: ['naïve 🙂 "quoted"\n'] }) }] },
    isOver: after(1),
  },
  {
    name: 'a batch',
    concurrency: 4,
    script: { takes: [{ json: [job('job-1'), job('job-2', { yields: [] })] }, { status: 204, afterResults: 2 }] },
    isOver: after(2),
  },
  {
    name: 'jobs one after another while the first runs',
    concurrency: 3,
    script: {
      takes: [{ json: [job('job-1', { yields: ['a'], hold: true })] }, { json: job('job-2'), afterParts: 1 }],
      stops: [{ json: { jobsToStop: ['job-1'] }, afterResults: 1 }],
    },
    isOver: (queue) =>
      ['take', 'stop'].every((of) => queue.asked.some(({ channel, answer }) => channel === of && answer === 'held')),
  },
  {
    name: 'empty answers of all kinds',
    concurrency: 1,
    script: {
      takes: [
        { status: 204 },
        { status: 400, json: { error: 'no' } },
        { type: 'text/html', text: '<p>nothing</p>' },
        { text: '' },
        { json: job('job-1') },
      ],
    },
    isOver: after(1),
  },
  {
    name: 'too many requests and server errors',
    concurrency: 1,
    script: { takes: [{ status: 429 }, { status: 500, text: 'x' }, { cut: true }, { json: job('job-1') }] },
    isOver: after(1),
  },
  {
    name: 'a failure',
    concurrency: 1,
    script: { takes: [{ json: job('job-1', { yields: ['a'], fail: 'boom' }) }] },
    isOver: after(1),
  },
  {
    name: 'a part and a result that need more attempts',
    concurrency: 1,
    script: {
      takes: [{ json: job('job-1') }],
      parts: [{ status: 500 }, { status: 503 }, { status: 200 }],
      results: [{ status: 502 }, { status: 200 }],
    },
    isOver: after(2),
  },
  {
    name: 'a part that is refused for good',
    concurrency: 1,
    script: { takes: [{ json: job('job-1') }], parts: [{ status: 404 }] },
    isOver: after(1),
  },
  {
    name: 'a stop for a running job',
    concurrency: 1,
    script: {
      takes: [{ json: job('job-1', { yields: ['a'], hold: true }) }],
      stops: [{ json: { jobsToStop: ['job-0', 'job-1', 7] }, afterParts: 1 }],
    },
    isOver: (queue) => queue.asked.some(({ channel, answer }) => channel === 'take' && answer === 'held'),
  },
];
