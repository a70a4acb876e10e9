/**
 * Our queue worker before a scripted queue, with waits that take no time unless a test holds them.
 */
import { JobFailure, type JobHandler } from '../../../src/jobs/job.ts';
import { createJobLog } from '../../../src/jobs/worker/job-log.ts';
import type { Pace } from '../../../src/jobs/worker/pace.ts';
import { queueSettings } from '../../../src/jobs/worker/queue-settings.ts';
import { type QueueWorker, type QueueWorkerDeps, startQueueWorker } from '../../../src/jobs/worker/queue-worker.ts';
import type { ScriptedQueue } from './scripted-queue.ts';

/** Waits end in the next turn, except those of lengths that are held: they end by their signal or when let go. */
export class QuickPace implements Pace {
  /** Every wait that was asked for. Units: milliseconds. */
  readonly waits: number[] = [];
  private readonly held = new Set<number>();
  private readonly pending = new Map<number, (() => void)[]>();

  hold(...lengthsMs: number[]): this {
    for (const ms of lengthsMs) this.held.add(ms);
    return this;
  }

  /** Ends the waits of a length that was held. */
  letGo(ms: number): void {
    this.held.delete(ms);
    for (const resolve of this.pending.get(ms) ?? []) resolve();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.waits.push(ms);
    return new Promise((resolve) => {
      if (signal?.aborted) resolve();
      else if (!this.held.has(ms)) setImmediate(resolve);
      else {
        signal?.addEventListener('abort', () => resolve(), { once: true });
        this.pending.set(ms, [...(this.pending.get(ms) ?? []), resolve]);
      }
    });
  }
}

/** Does what the jobs of the recordings say. */
export const toldHandler: JobHandler = async function* (job, signal) {
  if (job.input === undefined) throw new JobFailure('There is no input.');
  const told = job.input as { yields?: unknown[]; fail?: string; hold?: boolean };
  yield* told.yields ?? [];
  if (told.fail !== undefined) throw new JobFailure(told.fail);
  if (told.hold) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
};

export interface QueueSetup {
  readonly worker: QueueWorker;
  readonly pace: QuickPace;
  readonly log: string[];
  readonly ends: string[];
}

export function startBefore(
  queue: ScriptedQueue,
  options: Partial<QueueWorkerDeps> & { readonly pace?: QuickPace; readonly env?: Record<string, string> } = {},
): QueueSetup {
  const { env, ...deps } = options;
  const settings = queueSettings({ ...queue.environment(), RUNPOD_WEBHOOK_PING: '', ...env });
  if (settings === null) throw new Error('The environment names no queue.');
  const log: string[] = [];
  const ends: string[] = [];
  const pace = options.pace ?? new QuickPace();
  const worker = startQueueWorker({
    settings,
    handler: toldHandler,
    maxConcurrency: 1,
    version: '0.0.0',
    log: createJobLog({ isJson: true, level: 'DEBUG', write: (line) => log.push(line) }),
    engine: { state: 'ready', ready: () => Promise.reject(new Error('not asked for')) },
    onEnd: (reason) => ends.push(reason),
    ...deps,
    pace,
  });
  return { worker, pace, log, ends };
}
