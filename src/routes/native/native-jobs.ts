/**
 * What the job routes need of whatever keeps the jobs. `jobs/service/job-service.ts` fits it; routes must not know more.
 *
 * Answers are JSON text, ready to be sent: outputs are never parsed again. Next: `job-routes.ts`.
 */

export interface NativeJobOptions {
  readonly webhook: string | null;
  readonly executionTimeoutMs: number;
  readonly ttlMs: number;
  readonly retentionMs: number;
}

export interface NativeJobs {
  /** Queues a job and gives its id. Throws: ApiError 503 when there is no room. */
  submit(inputText: string, idPrefix: string, options: NativeJobOptions): string;
  /** Null, here and below: there is no such job. */
  status(id: string, waitMs: number): Promise<string | null>;
  stream(id: string, waitMs: number): Promise<string | null>;
  shortenRetention(id: string, ms: number): void;
  cancel(id: string): string | null;
  /** Throws: ApiError 400, 503. */
  retry(id: string): string | null;
  purgeQueue(): number;
  counters(): {
    readonly completed: number;
    readonly failed: number;
    readonly inProgress: number;
    readonly inQueue: number;
    readonly retried: number;
  };
}
