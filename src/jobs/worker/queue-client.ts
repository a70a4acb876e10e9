/**
 * The queue's calls: take jobs, hear of jobs to stop, hand in parts and results.
 *
 * Owns statuses, time-outs and repeated attempts; holds no job. Source: RunPod's Python worker 1.12, with two differences: lost connections
 * and 429 are tried again as well, and results are tried longer than parts. Next: `queue-worker.ts`, `run-job.ts`.
 */
import type { JobLog } from './job-log.ts';
import { fibonacciMs, type Pace } from './pace.ts';
import type { QueueSettings } from './queue-settings.ts';
import { postHeaders, resultUrl, sessionHeaders, stopUrl, streamUrl, takeUrl } from './queue-urls.ts';

/** The standard function, or a test's. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** An answer to a long poll. */
export type Polled<T> =
  | { readonly kind: 'got'; readonly value: T }
  | { readonly kind: 'nothing' }
  /** Too many requests. */
  | { readonly kind: 'slow-down' }
  | { readonly kind: 'failed'; readonly reason: string };

export interface QueueClientOptions {
  readonly settings: QueueSettings;
  readonly version: string;
  readonly log: JobLog;
  readonly fetch: Fetch;
  readonly pace: Pace;
}

const pollTimeoutMs = 90_000;
const postTimeoutMs = 600_000;
const partAttempts = 3;
const resultAttempts = 8;
const longestRetryMs = 20_000;
/** The platform takes no larger ones. Units: characters, roughly bytes. */
const largeResultChars = 20e6;

export class QueueClient {
  private readonly session: Record<string, string>;

  constructor(private readonly options: QueueClientOptions) {
    this.session = sessionHeaders(options.settings, options.version);
  }

  get hasStopChannel(): boolean {
    return stopUrl(this.options.settings) !== null;
  }

  /** Waits for up to `numJobs` jobs, unchecked. Never rejects. The signal ends the wait, but not an answer that has begun. */
  async take(numJobs: number, hasJobs: boolean, signal: AbortSignal): Promise<Polled<readonly unknown[]>> {
    const polled = await this.poll(takeUrl(this.options.settings, numJobs, hasJobs), signal, [204, 400]);
    if (polled.kind !== 'got') return polled;
    const jobs = Array.isArray(polled.value) ? polled.value : [polled.value];
    return jobs.length === 0 ? { kind: 'nothing' } : { kind: 'got', value: jobs };
  }

  /** Waits for ids of jobs to stop. Never rejects. */
  async stops(signal: AbortSignal): Promise<Polled<readonly string[]>> {
    const url = stopUrl(this.options.settings);
    if (url === null) return { kind: 'nothing' };
    const polled = await this.poll(url, signal, [204]);
    if (polled.kind !== 'got') return polled;
    const ids = (polled.value as { jobsToStop?: unknown } | null)?.jobsToStop;
    if (!Array.isArray(ids)) return { kind: 'nothing' };
    return { kind: 'got', value: ids.filter((id) => typeof id === 'string') };
  }

  /** Hands in a part of a job's output. False when the queue would not have it. Never rejects. */
  postPart(jobId: string, body: object, signal: AbortSignal): Promise<boolean> {
    return this.post(streamUrl(this.options.settings, jobId), jobId, body, partAttempts, signal);
  }

  /** Hands in the end of a job. False when the queue would not have it. Never rejects. */
  postResult(jobId: string, body: object, signal: AbortSignal): Promise<boolean> {
    return this.post(resultUrl(this.options.settings, jobId), jobId, body, resultAttempts, signal);
  }

  private async poll(url: string, signal: AbortSignal, emptyStatuses: readonly number[]): Promise<Polled<unknown>> {
    const abort = new AbortController();
    const stop = (): void => abort.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const timer = setTimeout(stop, pollTimeoutMs);
    try {
      const response = await this.options.fetch(url, { headers: this.session, signal: abort.signal });
      // What has begun to arrive may be a job: it is read to the end.
      signal.removeEventListener('abort', stop);
      const text = await response.text();
      if (emptyStatuses.includes(response.status)) return { kind: 'nothing' };
      if (response.status === 429) return { kind: 'slow-down' };
      if (!response.ok) return { kind: 'failed', reason: `status ${response.status}` };
      const isJson = /^application\/json\b/i.test(response.headers.get('content-type') ?? '');
      if (!isJson || text === '') return { kind: 'nothing' };
      return { kind: 'got', value: JSON.parse(text) as unknown };
    } catch (error) {
      // A poll that ran its time is an empty one.
      if (abort.signal.aborted) return { kind: 'nothing' };
      return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  private async post(
    url: string,
    jobId: string,
    body: object,
    maxAttempts: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { log, pace } = this.options;
    const text = JSON.stringify(body);
    if (text.length > largeResultChars) log.warn('The output is larger than the platform takes.', jobId);
    const waits = fibonacciMs(longestRetryMs);
    for (let attempt = 1; ; attempt++) {
      if (signal.aborted) return false;
      const outcome = await this.postOnce(url, jobId, text, signal);
      if (outcome.isDone || signal.aborted) return outcome.isDone;
      if (!outcome.isPassing || attempt === maxAttempts) {
        log.error(`The queue did not take the output: ${outcome.reason}, attempt ${attempt}.`, jobId);
        return false;
      }
      log.warn(`The queue did not take the output yet: ${outcome.reason}, attempt ${attempt}.`, jobId);
      await pace.sleep(waits.next().value, signal);
    }
  }

  private async postOnce(
    url: string,
    jobId: string,
    text: string,
    signal: AbortSignal,
  ): Promise<{ isDone: true } | { isDone: false; isPassing: boolean; reason: string }> {
    const abort = new AbortController();
    const stop = (): void => abort.abort();
    signal.addEventListener('abort', stop, { once: true });
    const timer = setTimeout(stop, postTimeoutMs);
    try {
      const response = await this.options.fetch(url, {
        method: 'POST',
        headers: postHeaders(this.session, jobId),
        body: text,
        signal: abort.signal,
      });
      const { status } = response;
      // The status is the answer; a body that breaks off changes nothing.
      await response.text().catch(() => '');
      if (response.ok) return { isDone: true };
      return {
        isDone: false,
        isPassing: status >= 500 || status === 429 || status === 408,
        reason: `status ${status}`,
      };
    } catch (error) {
      return { isDone: false, isPassing: true, reason: error instanceof Error ? error.message : String(error) };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }
}
