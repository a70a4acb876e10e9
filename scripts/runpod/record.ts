/**
 * Records how RunPod's own Python worker talks to a queue: `bun scripts/runpod/record.ts <python>`.
 *
 * `<python>` has the packages of `requirements.txt`. Each scenario of `test/unit/jobs/queue-scenarios.ts` is played once and what the worker
 * asked is written to `test/fixtures/runpod/recording.json`; `test/unit/jobs/recording.test.ts` holds our worker to it.
 */
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Scenario, scenarios } from '../../test/unit/jobs/queue-scenarios.ts';
import { type Recorded, recorded } from '../../test/unit/jobs/recorded.ts';
import { ScriptedQueue } from '../../test/unit/jobs/scripted-queue.ts';

const python = process.argv[2];
if (python === undefined) throw new Error('Usage: bun scripts/runpod/record.ts <python with the runpod package>');

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

async function play(scenario: Scenario): Promise<Recorded[]> {
  const queue = await ScriptedQueue.start(scenario.script);
  const worker = spawn(python ?? '', [here('peer_worker.py')], {
    env: {
      ...process.env,
      ...queue.environment(),
      PEER_CONCURRENCY: String(scenario.concurrency),
      RUNPOD_SKIP_GPU_CHECK: 'true',
      RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: 'true',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let log = '';
  worker.stdout.on('data', (chunk: Buffer) => {
    log += chunk.toString('utf8');
  });
  const exited = new Promise((resolve) => worker.on('exit', resolve));
  const early = exited.then(() => {
    throw new Error(`${scenario.name}: the worker ended early:\n${log}`);
  });
  early.catch(() => {});
  await Promise.race([queue.until(scenario.isOver), early]);
  worker.kill('SIGTERM');
  queue.release();
  await exited;
  await queue.close();
  return recorded(queue.asked);
}

const recording: Record<string, Recorded[]> = {};
for (const scenario of scenarios) {
  recording[scenario.name] = await play(scenario);
  console.log(`${scenario.name}: ${recording[scenario.name]?.length} requests`);
}
const file = here('../../test/fixtures/runpod/recording.json');
await writeFile(file, `${JSON.stringify({ peer: 'runpod 1.12.0', recording }, null, 1)}\n`);
