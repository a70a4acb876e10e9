/**
 * The body of `/run` and `/runsync`: an input that is nobody's business here, and what the platform lets a client say about the job.
 *
 * Source: RunPod's serverless API.
 */
import * as v from 'valibot';
import { objectOf } from '../../serving/schema/fields.ts';
import type { WireSchema } from '../../serving/schema/wire.ts';
import type { NativeJobOptions } from './native-jobs.ts';

const durationMs = v.pipe(v.number(), v.finite('must be a finite number'), v.gtValue(0, 'must be greater than 0'));

const schema = v.object({
  /** Null counts as missing. */
  input: v.pipe(
    v.unknown(),
    v.check((value) => value !== undefined && value !== null, 'is required'),
  ),
  webhook: v.nullish(
    v.pipe(
      v.string(),
      v.check((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ''), 'must be an HTTP address'),
    ),
  ),
  policy: v.nullish(
    objectOf(
      v.object({
        /** Units: milliseconds. */
        executionTimeout: v.nullish(durationMs),
        ttl: v.nullish(durationMs),
        /** Accepted: there is one worker, nothing is scaled. */
        lowPriority: v.nullish(v.boolean()),
      }),
    ),
  ),
});

type JobBody = v.InferOutput<typeof schema>;

export const jobBodyWire: WireSchema<JobBody> = { schema, unsupported: [] };

const defaultExecutionTimeoutMs = 600_000;
const defaultTtlMs = 86_400_000;

export function jobOptions(body: JobBody, retentionMs: number): NativeJobOptions {
  return {
    webhook: body.webhook ?? null,
    executionTimeoutMs: body.policy?.executionTimeout ?? defaultExecutionTimeoutMs,
    ttlMs: body.policy?.ttl ?? defaultTtlMs,
    retentionMs,
  };
}
