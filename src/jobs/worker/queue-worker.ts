/**
 * Takes jobs from RunPod's queue, runs them side by side and hands in their results until it is told to stop.
 *
 * Owns which jobs are here. No job is lost on the way down: an open request for jobs is given time to end, what it brings is run, and
 * what cannot be finished in time is left without a result, so that the queue gives it to another worker.
 * Next: `queue-client.ts` (calls), `run-job.ts` (one job), `ping.ts` (signs of life).
 */
import type { Engine } from '../../engine/types.ts';
import type { Job, JobHandler } from '../job.ts';
import type { JobLog } from './job-log.ts';
import { fibonacciMs, type Pace, systemPace } from './pace.ts';
import { type Ping, startPing } from './ping.ts';
import { type Fetch, QueueClient } from './queue-client.ts';
import type { QueueSettings } from './queue-settings.ts';
import { runJob } from './run-job.ts';

export interface QueueWorkerDeps {
  readonly settings: QueueSettings;
  readonly handler: JobHandler;
  /** Jobs that run at the same time. */
  readonly maxConcurrency: number;
  readonly version: string;
  readonly log: JobLog;
  /** Jobs are taken only while it is ready. */
  readonly engine: Pick<Engine, 'state' | 'ready'>;
  /** The worker takes nothing more, by itself: after a job that asks for a fresh worker, or because the engine has failed for good. */
  onEnd?(reason: 'refresh' | 'failed'): void;
  readonly fetch?: Fetch;
  readonly pace?: Pace;
}

export interface QueueWorker {
  /**
   * Takes nothing more and resolves when the last job has ended. Jobs that still run after `graceMs` are left to other workers.
   * Harmless when called again.
   */
  stop(graceMs?: number): Promise<void>;
}

const slowDownMs = 5000;
/** Between an empty answer and the next request, should the queue not hold requests open. */
const emptyTakeMs = 100;
const emptyStopMs = 1000;
const longestFailureMs = 10_000;
/** How long an open request for jobs may stay open when nothing else is left to do. */
const lastTakeMs = 5000;

/** Starts at once. */
export function startQueueWorker(deps: QueueWorkerDeps): QueueWorker {
  const worker = new JobTaker(deps);
  worker.start();
  return worker;
}

interface Here {
  readonly job: Job;
  readonly ended: AbortController;
  readonly abandoned: AbortController;
}

class JobTaker implements QueueWorker {
  private readonly pace: Pace;
  private readonly client: QueueClient;
  /** Every job that is here, by id. */
  private readonly here = new Map<string, Here>();
  /** Those that have not begun: more came than were asked for. */
  private readonly waiting: Here[] = [];
  private numRunning = 0;
  private ping: Ping | null = null;
  /** Fires when nothing more is to be taken. */
  private readonly stopping = new AbortController();
  private readonly untilStopping = new Promise<void>((resolve) => {
    this.stopping.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  /** Fires when an open request for jobs is given up. */
  private readonly takeEnd = new AbortController();
  /** Fires when nothing is left to do. */
  private readonly done = new AbortController();
  private isAbandoned = false;
  private changeWaiters: (() => void)[] = [];
  private loops: Promise<unknown> = Promise.resolve();
  private drain: Promise<void> | null = null;

  constructor(private readonly deps: QueueWorkerDeps) {
    this.pace = deps.pace ?? systemPace;
    this.client = new QueueClient({
      settings: deps.settings,
      version: deps.version,
      log: deps.log,
      fetch: deps.fetch ?? ((url, init) => fetch(url, init)),
      pace: this.pace,
    });
  }

  start(): void {
    this.ping = startPing(this.deps.settings, this.deps.version, this.deps.log);
    this.loops = Promise.all([this.takeLoop(), this.stopLoop()]);
  }

  stop(graceMs = Number.POSITIVE_INFINITY): Promise<void> {
    this.drain ??= this.drainAll(graceMs);
    return this.drain;
  }

  private async drainAll(graceMs: number): Promise<void> {
    this.stopping.abort();
    if (graceMs !== Number.POSITIVE_INFINITY) {
      void this.pace.sleep(graceMs, this.done.signal).then(() => {
        if (!this.done.signal.aborted) this.abandon();
      });
    }
    void this.endLastTake();
    await this.loops;
    await this.ping?.stop();
  }

  /** The queue may have given us a job that is on its way: the open request ends by itself, or when there has been nothing else to do for a while. */
  private async endLastTake(): Promise<void> {
    await this.untilIdle();
    await this.pace.sleep(lastTakeMs, this.done.signal);
    this.takeEnd.abort();
  }

  private abandon(): void {
    if (this.here.size > 0) this.deps.log.warn(`Time is up: ${this.here.size} jobs are left to other workers.`);
    this.isAbandoned = true;
    this.takeEnd.abort();
    for (const entry of this.here.values()) {
      entry.abandoned.abort();
      entry.ended.abort();
    }
    for (const entry of this.waiting.splice(0)) this.here.delete(entry.job.id);
    this.changed();
  }

  private async takeLoop(): Promise<void> {
    let failures = fibonacciMs(longestFailureMs);
    while (!this.stopping.signal.aborted) {
      if (!(await this.canRun())) break;
      const room = this.deps.maxConcurrency - this.here.size;
      if (room <= 0) {
        await this.nextChange();
        continue;
      }
      const taken = await this.client.take(room, this.here.size > 0, this.takeEnd.signal);
      if (taken.kind === 'got') {
        for (const item of taken.value) this.accept(item);
      } else if (taken.kind === 'nothing') {
        await this.pace.sleep(emptyTakeMs, this.stopping.signal);
      } else if (taken.kind === 'slow-down') {
        await this.pace.sleep(slowDownMs, this.stopping.signal);
      } else {
        this.deps.log.error(`No jobs could be taken: ${taken.reason}.`);
        await this.pace.sleep(failures.next().value, this.stopping.signal);
        continue;
      }
      failures = fibonacciMs(longestFailureMs);
    }
    await this.untilIdle();
    this.done.abort();
  }

  /** False when the worker shall end. */
  private async canRun(): Promise<boolean> {
    const { engine } = this.deps;
    try {
      if (engine.state !== 'ready') await Promise.race([engine.ready(), this.untilStopping]);
      return !this.stopping.signal.aborted;
    } catch (error) {
      this.deps.log.error(`No job can be run any more: ${error instanceof Error ? error.message : String(error)}`);
      this.stopping.abort();
      this.deps.onEnd?.('failed');
      return false;
    }
  }

  private async stopLoop(): Promise<void> {
    if (!this.client.hasStopChannel) return;
    const { signal } = this.done;
    while (!signal.aborted) {
      const polled = await this.client.stops(signal);
      if (polled.kind === 'got' && polled.value.length > 0) for (const id of polled.value) this.stopJob(id);
      else if (polled.kind === 'failed') {
        this.deps.log.warn(`The stop channel failed: ${polled.reason}.`);
        await this.pace.sleep(emptyStopMs, signal);
      } else await this.pace.sleep(polled.kind === 'slow-down' ? slowDownMs : emptyStopMs, signal);
    }
  }

  private stopJob(id: string): void {
    const entry = this.here.get(id);
    if (entry === undefined) return;
    this.deps.log.info('Stopped by the queue.', id);
    entry.ended.abort();
    const index = this.waiting.indexOf(entry);
    if (index < 0) return;
    this.waiting.splice(index, 1);
    this.leave(entry);
  }

  private accept(item: unknown): void {
    const { id, input } = (typeof item === 'object' && item !== null ? item : {}) as { id?: unknown; input?: unknown };
    if (typeof id !== 'string' || id === '') {
      this.deps.log.error('The queue sent a job without an id; nobody can be answered.');
      return;
    }
    // Nothing can be begun any more: the queue gives it to another worker.
    if (this.isAbandoned) return;
    if (this.here.has(id)) {
      this.deps.log.warn('The queue sent a job that is here already.', id);
      return;
    }
    const job: Job = { id, input };
    const entry: Here = { job, ended: new AbortController(), abandoned: new AbortController() };
    this.here.set(id, entry);
    this.ping?.show([...this.here.keys()]);
    this.waiting.push(entry);
    this.startNext();
  }

  private startNext(): void {
    while (this.numRunning < this.deps.maxConcurrency) {
      const entry = this.waiting.shift();
      if (entry === undefined) return;
      this.numRunning += 1;
      void this.run(entry);
    }
  }

  private async run(entry: Here): Promise<void> {
    const { settings, handler, log } = this.deps;
    const { job } = entry;
    const end = await runJob({ handler, client: this.client, log, refreshWorker: settings.refreshWorker }, job, {
      ended: entry.ended.signal,
      abandoned: entry.abandoned.signal,
    });
    log.debug(`The job is ${end}.`, job.id);
    this.numRunning -= 1;
    this.leave(entry);
    this.startNext();
    if (settings.refreshWorker && end === 'answered' && !this.stopping.signal.aborted) {
      this.stopping.abort();
      this.deps.onEnd?.('refresh');
    }
  }

  private leave(entry: Here): void {
    this.here.delete(entry.job.id);
    this.ping?.show([...this.here.keys()]);
    this.changed();
  }

  private changed(): void {
    for (const resolve of this.changeWaiters.splice(0)) resolve();
  }

  /** Resolves when a job leaves. */
  private nextChange(): Promise<void> {
    return new Promise((resolve) => this.changeWaiters.push(resolve));
  }

  private async untilIdle(): Promise<void> {
    while (this.here.size > 0) await this.nextChange();
  }
}
