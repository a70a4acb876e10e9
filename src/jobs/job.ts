/**
 * What a job is, and what running one means, for everything that takes jobs: the HTTP routes and the queue worker.
 *
 * Knows neither of them and no engine. Next: `handler.ts`, which makes the {@link JobHandler}.
 */
import { toApiError } from '../serving/errors.ts';

/** One piece of work. `input` is what the client sent, unchecked. */
export interface Job {
  readonly id: string;
  readonly input: unknown;
}

/**
 * Runs a job and yields its outputs, each a JSON value. The signal ends it early; what it yields after that is of no use.
 * Throws: what {@link failureText} turns into the reason that the client reads.
 */
export type JobHandler = (job: Job, signal: AbortSignal) => AsyncIterable<unknown>;

/** A job that failed for a reason that is already written as the client shall see it. */
export class JobFailure extends Error {
  override readonly name = 'JobFailure';

  constructor(readonly text: string) {
    super(text);
  }
}

/** Why a job failed, as text. JSON in OpenAI's error form, so that clients can read the parts. */
export function failureText(error: unknown): string {
  return error instanceof JobFailure ? error.text : JSON.stringify(toApiError(error).body);
}

/** Whether a failure is ours rather than the client's, so that it deserves a line in the log. */
export function isOurFailure(error: unknown): boolean {
  return !(error instanceof JobFailure) && toApiError(error).status >= 500;
}
