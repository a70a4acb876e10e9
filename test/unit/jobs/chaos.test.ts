/** Whatever the queue does, each job is finished, failed with a reason, stopped or left: none is lost, none answered twice. */
import { describe, expect, test } from 'bun:test';
import { idsOf } from '../../helpers/test-app.ts';
import { chaosKinds, playChaos, textOf } from './chaos.ts';
import { jobSetup } from './job-setup.ts';
import { QuickPace, startBefore } from './queue-setup.ts';
import { ScriptedQueue } from './scripted-queue.ts';

const numJobs = 60;

describe('a queue that behaves badly', () => {
  for (const [index, chaos] of chaosKinds.entries()) {
    test(chaos.name, async () => {
      const count = await playChaos(chaos, numJobs, index + 1);
      expect({ lost: count.lost, answeredTwice: count.answeredTwice, wrongText: count.wrongText }).toEqual({
        lost: 0,
        answeredTwice: 0,
        wrongText: 0,
      });
      expect(count.finished + count.failed + count.stopped + count.left).toBe(numJobs);
      if (chaos.cutAfter === undefined) expect(count.repeated).toBe(0);
      if (chaos.stop === undefined) expect(count.stopped).toBe(0);
    });
  }
});

describe('going down in the middle of 50 streaming jobs', () => {
  const text = 'the quick brown fox';
  const script = () => [...idsOf(text.slice(0, 9)), 'hold' as const, ...idsOf(text.slice(9))];
  const job = (id: string) => ({
    id,
    input: { prompt: 'a', stream: true, sampling_params: { max_tokens: 100 }, batch_size_growth_factor: 2 },
  });
  const jobs = Array.from({ length: 50 }, (_, i) => job(`job-${i}`));
  const lastTakeMs = 5000;

  async function startFifty() {
    let sendLate: () => void = () => {};
    const late = new Promise<void>((resolve) => {
      sendLate = resolve;
    });
    let numTakes = 0;
    const queue = await ScriptedQueue.start({}, async ({ channel }) => {
      if (channel !== 'take') return null;
      numTakes += 1;
      if (numTakes === 1) return { json: jobs };
      if (numTakes > 2) return null;
      await late;
      return { json: [job('job-late')] };
    });
    const setup = jobSetup(script);
    const pace = new QuickPace().hold(lastTakeMs);
    const { worker, log } = startBefore(queue, {
      handler: setup.handler,
      engine: setup.engine,
      maxConcurrency: 64,
      pace,
    });
    // Batches of 1, 2 and 4 tokens are out of each job.
    await queue.until(() => queue.accepted('stream').length === 150);
    return { queue, worker, engine: setup.engine, pace, log, sendLate };
  }

  test('all are finished, also the one that was on its way', async () => {
    const { queue, worker, engine, sendLate } = await startFifty();
    const stopped = worker.stop();
    sendLate();
    await queue.until(() => queue.asked.some(({ url }) => url.includes('job-late')));
    const release = setInterval(() => engine.release(), 1);
    queue.release();
    await stopped;
    clearInterval(release);
    const results = queue.accepted('result');
    expect(results.map(({ body }) => textOf(body))).toEqual(new Array(51).fill(text));
    expect(new Set(results.map(({ headers }) => headers['x-request-id'])).size).toBe(51);
    // Nothing was asked for after the request that was open.
    expect(queue.asked.filter(({ channel }) => channel === 'take')).toHaveLength(2);
    await queue.close();
  });

  test('what is not done in time is left without a trace', async () => {
    const { queue, worker, engine, log, sendLate } = await startFifty();
    sendLate();
    await queue.until(() => queue.asked.filter(({ channel }) => channel === 'take').length === 3);
    await worker.stop(1);
    expect(queue.accepted('result')).toEqual([]);
    expect(engine.numRunning).toBe(0);
    expect(log.some((line) => line.includes('51 jobs are left to other workers'))).toBe(true);
    await queue.close();
  });
});
