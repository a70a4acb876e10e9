/**
 * Jobs without RunPod: a queue in memory that runs jobs, keeps their results for a while and answers for them.
 *
 * Owns states, limits, time-outs, retention and webhooks; memory is bounded by count and by characters held. Knows no HTTP and no engine:
 * the routes in `routes/native/` call it, it calls a {@link JobHandler}. Source of states and limits: RunPod's serverless API.
 */
import { randomUUID } from 'node:crypto';
import { badRequest, unavailable } from '../../serving/errors.ts';
import { failureText, isOurFailure, type JobHandler } from '../job.ts';
import { type Clock, systemClock } from './clock.ts';
import { type JobOptions, JobRecord } from './job-record.ts';
import { deliverWebhook, type PostWebhook, postWebhook } from './webhook.ts';

export interface JobServiceOptions {
  readonly handler: JobHandler;
  /** Jobs that run at the same time. */
  readonly maxConcurrency: number;
  readonly limits?: Partial<JobServiceLimits>;
  readonly clock?: Clock;
  readonly postWebhook?: PostWebhook;
  /** Told of what goes wrong on our side. */
  readonly reportError?: (error: unknown) => void;
}

export interface JobServiceLimits {
  /** Jobs that wait. */
  readonly maxQueued: number;
  /** All inputs and outputs together. Units: characters of JSON text. */
  readonly maxHeldChars: number;
  /** Outputs of one job. Units: characters of JSON text. */
  readonly maxOutputChars: number;
}

/** Source: the platform lets a result have 20 MB. */
export const defaultJobServiceLimits: JobServiceLimits = {
  maxQueued: 10_000,
  maxHeldChars: 256 * 2 ** 20,
  maxOutputChars: 20 * 2 ** 20,
};

/** Counts since the start; `retried` counts jobs that were put back. */
export interface JobCounters {
  readonly completed: number;
  readonly failed: number;
  readonly inProgress: number;
  readonly inQueue: number;
  readonly retried: number;
}

interface Running {
  readonly abort: AbortController;
  readonly stopTimer: () => void;
}

export class JobService {
  private readonly records = new Map<string, JobRecord>();
  /** Ended jobs in the order of their ends: what is dropped first when memory runs short. */
  private readonly ended = new Set<JobRecord>();
  private readonly timers = new Map<JobRecord, () => void>();
  private readonly running = new Map<JobRecord, Running>();
  private readonly deliveries = new Set<Promise<void>>();
  private queue: JobRecord[] = [];
  private heldChars = 0;
  private counts = { completed: 0, failed: 0, retried: 0 };
  private idleWaiters: (() => void)[] = [];
  private readonly clock: Clock;
  private readonly limits: JobServiceLimits;

  constructor(private readonly options: JobServiceOptions) {
    this.clock = options.clock ?? systemClock;
    this.limits = { ...defaultJobServiceLimits, ...options.limits };
  }

  /** Queues a job and gives its id. `inputText`: JSON. Throws: ApiError 503 when there is no room. */
  submit(inputText: string, idPrefix: string, options: JobOptions): string {
    const record = new JobRecord(`${idPrefix}${randomUUID()}`, inputText, options, this.clock.nowMs());
    this.makeRoom(record.numChars);
    if (this.queue.length >= this.limits.maxQueued || this.heldChars + record.numChars > this.limits.maxHeldChars) {
      throw unavailable('The job queue is full.');
    }
    this.records.set(record.id, record);
    this.heldChars += record.numChars;
    this.enqueue(record);
    return record.id;
  }

  /** Status as JSON text, after the end or `waitMs`, whichever comes first. Null for an unknown job. */
  async status(id: string, waitMs = 0): Promise<string | null> {
    const record = this.records.get(id);
    if (record === undefined) return null;
    await this.waitUntil(record, waitMs, () => record.hasEnded);
    return record.statusText(this.clock.nowMs());
  }

  /** The outputs since the last call as JSON text; waits for some up to `waitMs`. Null for an unknown job. */
  async stream(id: string, waitMs = 0): Promise<string | null> {
    const record = this.records.get(id);
    if (record === undefined) return null;
    await this.waitUntil(record, waitMs, () => record.hasEnded || record.hasUnread);
    return record.takeStreamText();
  }

  /** Lets a result go sooner than it would. */
  shortenRetention(id: string, ms: number): void {
    const record = this.records.get(id);
    if (record?.hasEnded && ms < record.options.retentionMs) this.setTimer(record, ms, () => this.drop(record));
  }

  /** Ends a job that has not ended. Its status as JSON text; null for an unknown job. */
  cancel(id: string): string | null {
    const record = this.records.get(id);
    if (record === undefined) return null;
    this.end(record, 'CANCELLED', null);
    return this.shortStatus(record);
  }

  /** Puts a failed job back. Its status as JSON text; null for an unknown job. Throws: ApiError 400, 503. */
  retry(id: string): string | null {
    const record = this.records.get(id);
    if (record === undefined) return null;
    if (record.status !== 'FAILED' && record.status !== 'TIMED_OUT') {
      throw badRequest('Only jobs with the status FAILED or TIMED_OUT can be tried again.');
    }
    if (this.queue.length >= this.limits.maxQueued) throw unavailable('The job queue is full.');
    this.ended.delete(record);
    this.recount(record, () => record.requeue(this.clock.nowMs()));
    this.counts.retried += 1;
    const answer = this.shortStatus(record);
    this.enqueue(record);
    return answer;
  }

  /** Drops the jobs that wait; how many there were. */
  purgeQueue(): number {
    const removed = this.queue;
    this.queue = [];
    for (const record of removed) this.end(record, 'CANCELLED', null);
    return removed.length;
  }

  counters(): JobCounters {
    return { ...this.counts, inProgress: this.running.size, inQueue: this.queue.length };
  }

  /** True while something waits, runs or is being delivered. */
  get isBusy(): boolean {
    return this.queue.length > 0 || this.running.size > 0 || this.deliveries.size > 0;
  }

  /** Resolves when nothing waits, runs or is being delivered. */
  async drained(): Promise<void> {
    while (this.isBusy) {
      if (this.queue.length === 0 && this.running.size === 0) await Promise.all(this.deliveries);
      else await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
    }
  }

  private shortStatus(record: JobRecord): string {
    return JSON.stringify({ id: record.id, status: record.status });
  }

  private enqueue(record: JobRecord): void {
    this.queue.push(record);
    this.setTimer(record, record.options.ttlMs, () =>
      this.end(record, 'TIMED_OUT', 'The job did not end within its time to live.'),
    );
    this.startNext();
  }

  private startNext(): void {
    while (this.running.size < this.options.maxConcurrency) {
      const record = this.queue.shift();
      if (record === undefined) return;
      const abort = new AbortController();
      const stopTimer = this.clock.after(record.options.executionTimeoutMs, () =>
        this.end(record, 'TIMED_OUT', 'The job did not end within its execution time.'),
      );
      this.running.set(record, { abort, stopTimer });
      record.start(this.clock.nowMs());
      void this.run(record, abort.signal);
    }
  }

  /** Never rejects. A job that has ended otherwise meanwhile keeps that end. */
  private async run(record: JobRecord, signal: AbortSignal): Promise<void> {
    try {
      const job = { id: record.id, input: JSON.parse(record.inputText) as unknown };
      for await (const output of this.options.handler(job, signal)) {
        if (signal.aborted) return;
        this.addOutput(record, JSON.stringify(output));
      }
      if (!signal.aborted) this.end(record, 'COMPLETED', null);
    } catch (error) {
      if (signal.aborted) return;
      if (isOurFailure(error)) this.options.reportError?.(error);
      this.end(record, 'FAILED', failureText(error));
    }
  }

  private addOutput(record: JobRecord, text: string): void {
    this.makeRoom(text.length);
    const isTooLong = record.numOutputChars + text.length > this.limits.maxOutputChars;
    if (isTooLong || this.heldChars + text.length > this.limits.maxHeldChars) {
      throw unavailable('The output of the job is too large to be kept.');
    }
    this.recount(record, () => record.addOutput(text));
  }

  private end(record: JobRecord, status: Parameters<JobRecord['end']>[0], error: string | null): void {
    if (record.hasEnded) return;
    this.recount(record, () => record.end(status, error, this.clock.nowMs()));
    if (status === 'COMPLETED') this.counts.completed += 1;
    if (status === 'FAILED' || status === 'TIMED_OUT') this.counts.failed += 1;
    const running = this.running.get(record);
    running?.stopTimer();
    running?.abort.abort();
    this.running.delete(record);
    if (running === undefined) this.queue = this.queue.filter((waiting) => waiting !== record);
    this.ended.add(record);
    this.setTimer(record, record.options.retentionMs, () => this.drop(record));
    this.notify(record);
    this.startNext();
    if (this.queue.length === 0 && this.running.size === 0) for (const resolve of this.idleWaiters.splice(0)) resolve();
  }

  private notify(record: JobRecord): void {
    const { webhook } = record.options;
    if (webhook === null) return;
    const report = (message: string): void => this.options.reportError?.(new Error(message));
    const post = this.options.postWebhook ?? postWebhook;
    const delivery = deliverWebhook(webhook, record.statusText(this.clock.nowMs()), this.clock, post, report);
    this.deliveries.add(delivery);
    void delivery.finally(() => this.deliveries.delete(delivery));
  }

  /** Drops the oldest results until `numChars` more would fit, as far as there are any. */
  private makeRoom(numChars: number): void {
    for (const record of this.ended) {
      if (this.heldChars + numChars <= this.limits.maxHeldChars) return;
      this.drop(record);
    }
  }

  private drop(record: JobRecord): void {
    this.timers.get(record)?.();
    this.timers.delete(record);
    this.ended.delete(record);
    if (this.records.delete(record.id)) this.heldChars -= record.numChars;
  }

  private recount(record: JobRecord, change: () => void): void {
    const before = record.numChars;
    change();
    this.heldChars += record.numChars - before;
  }

  /** One timer per job: its time to live, then its retention. */
  private setTimer(record: JobRecord, ms: number, run: () => void): void {
    this.timers.get(record)?.();
    this.timers.set(record, this.clock.after(ms, run));
  }

  private async waitUntil(record: JobRecord, ms: number, isDone: () => boolean): Promise<void> {
    if (ms <= 0 || isDone()) return;
    let isLate = false;
    let ring: () => void = () => {};
    const late = new Promise<void>((resolve) => {
      ring = resolve;
    });
    const stop = this.clock.after(ms, () => {
      isLate = true;
      ring();
    });
    while (!isDone() && !isLate) await Promise.race([record.changed(), late]);
    stop();
  }
}
