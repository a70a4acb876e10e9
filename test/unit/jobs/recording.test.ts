/** Our worker asks the queue what RunPod's own worker asks, scenario by scenario. The recording is made by `scripts/runpod/record.ts`. */
import { describe, expect, test } from 'bun:test';
import { protocolVersion } from '../../../src/jobs/worker/queue-urls.ts';
import recordingFile from '../../fixtures/runpod/recording.json' with { type: 'json' };
import { scenarios } from './queue-scenarios.ts';
import { startBefore } from './queue-setup.ts';
import { type Recorded, recorded } from './recorded.ts';
import { ScriptedQueue } from './scripted-queue.ts';

const recording = recordingFile.recording as unknown as Record<string, Recorded[]>;

/** The posts of each job, in their order. */
function postsByJob(requests: readonly Recorded[]): Record<string, Recorded[]> {
  const posts = requests.filter(({ channel }) => channel === 'stream' || channel === 'result');
  return Object.groupBy(posts, ({ headers }) => headers['x-request-id'] ?? '') as Record<string, Recorded[]>;
}

const ofChannel = (requests: readonly Recorded[], channel: string): Recorded[] =>
  requests.filter((request) => request.channel === channel);

/** How many jobs are free to be taken differs: RunPod's worker counts a job twice until it runs. */
function takeForm({ url, ...rest }: Recorded): object {
  return {
    ...rest,
    url: url
      .replace(/\/job-take-batch\/(.*)&batch_size=\d+/, '/job-take/$1')
      .replace(/job_in_progress=[01]$/, 'job_in_progress=N'),
  };
}

describe('as RunPod’s worker does', () => {
  test('the recording is of the version that we name', () => {
    expect(recordingFile.peer).toBe(`runpod ${protocolVersion}`);
    expect(Object.keys(recording)).toEqual(scenarios.map(({ name }) => name));
  });

  for (const scenario of scenarios) {
    test(scenario.name, async () => {
      const queue = await ScriptedQueue.start(scenario.script);
      const { worker } = startBefore(queue, { maxConcurrency: scenario.concurrency });
      await queue.until(scenario.isOver);
      queue.release();
      await worker.stop();
      await queue.close();
      const ours = recorded(queue.asked);
      const theirs = recording[scenario.name] ?? [];

      expect(postsByJob(ours)).toEqual(postsByJob(theirs));
      const [firstTake, ...takes] = ofChannel(ours, 'take');
      const [theirFirst, ...theirTakes] = ofChannel(theirs, 'take');
      expect(firstTake).toEqual(theirFirst as Recorded);
      expect(takes.map(takeForm)).toEqual(theirTakes.map(takeForm));
      // With room for one job there is nothing to count differently.
      if (scenario.concurrency === 1) expect(takes).toEqual(theirTakes);
      const stops = ofChannel(ours, 'stop').slice(0, ofChannel(theirs, 'stop').length);
      expect(stops).toEqual(ofChannel(theirs, 'stop'));
    });
  }

  test('pings, from a thread of their own', async () => {
    const queue = await ScriptedQueue.start({
      takes: [{ json: { id: 'job-1', input: { yields: ['a'], hold: true } } }],
    });
    const env = { RUNPOD_WEBHOOK_PING: queue.environment().RUNPOD_WEBHOOK_PING ?? '', RUNPOD_PING_INTERVAL: '100' };
    const { worker } = startBefore(queue, { env });
    await queue.until(({ asked }) => asked.some(({ channel, url }) => channel === 'ping' && url.includes('job_id')));
    queue.release();
    await worker.stop(0);
    await queue.close();
    const forms = (requests: readonly Recorded[]): string[] =>
      [...new Set(ofChannel(requests, 'ping').map((ping) => JSON.stringify(ping)))].sort();
    const theirs = forms(Object.values(recording).flat());
    expect(theirs).toHaveLength(2);
    for (const form of forms(recorded(queue.asked))) expect(theirs).toContain(form);
    expect(forms(recorded(queue.asked)).some((form) => form.includes('job_id=job-1'))).toBe(true);
  });
});
