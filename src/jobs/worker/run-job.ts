/**
 * One job of the queue from start to result: parts go out as they come, then the end with all of them.
 *
 * A job that is stopped from outside posts nothing more. Next: `queue-worker.ts`, which starts these.
 */
import { failureText, isOurFailure, type Job, type JobHandler } from '../job.ts';
import type { JobLog } from './job-log.ts';
import type { QueueClient } from './queue-client.ts';

export interface JobSignals {
  /** The job is to end without a trace: it was stopped, or the worker goes down. */
  readonly ended: AbortSignal;
  /** The worker goes down: even a finished job is left to another worker. */
  readonly abandoned: AbortSignal;
}

export interface RunJobDeps {
  readonly handler: JobHandler;
  readonly client: QueueClient;
  readonly log: JobLog;
  readonly refreshWorker: boolean;
}

/** How a job ended as far as this worker is concerned. `left`: the queue has no result from us. */
export type JobEnd = 'answered' | 'stopped' | 'left';

/** Never rejects. */
export async function runJob(deps: RunJobDeps, job: Job, signals: JobSignals): Promise<JobEnd> {
  const { client, log } = deps;
  const { ended } = signals;
  const end = (): JobEnd => (signals.abandoned.aborted ? 'left' : 'stopped');
  log.info('Started.', job.id);
  const outputs: unknown[] = [];
  let result: Record<string, unknown>;
  try {
    for await (const output of deps.handler(job, ended)) {
      if (ended.aborted) return end();
      outputs.push(output);
      // A part that is lost is in the result all the same.
      await client.postPart(job.id, { output }, ended);
    }
    result = { output: outputs };
  } catch (error) {
    if (!ended.aborted && isOurFailure(error))
      log.error(error instanceof Error ? error.message : String(error), job.id);
    result = { error: failureText(error) };
  }
  if (ended.aborted) return end();
  if (deps.refreshWorker) result.stopPod = true;
  // From here on the job is done: a stop comes too late.
  const isTaken = await client.postResult(job.id, result, signals.abandoned);
  log.info(isTaken ? 'Finished.' : 'Finished, but the queue has no result.', job.id);
  return isTaken ? 'answered' : 'left';
}
