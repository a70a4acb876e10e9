/**
 * What RunPod tells a worker through the environment: where to take jobs from and where to put results.
 *
 * Owns the templates' placeholders. Source: the environment of RunPod's Python worker. Next: `queue-urls.ts`, `queue-worker.ts`.
 */
import { randomUUID } from 'node:crypto';

export interface QueueSettings {
  readonly workerId: string;
  /** Ends in a query. */
  readonly takeUrl: string;
  /** `$ID` stands for the job; ends in a query. */
  readonly resultUrlTemplate: string;
  readonly streamUrlTemplate: string;
  /** Sent as it is, without a scheme. */
  readonly apiKey: string;
  /** Null: nobody listens. */
  readonly ping: { readonly url: string; readonly intervalMs: number } | null;
  /** One job per process: after each job the platform is asked for a fresh worker. */
  readonly refreshWorker: boolean;
}

const defaultPingIntervalMs = 10_000;
const shortestPingIntervalMs = 100;

type Environment = Readonly<Record<string, string | undefined>>;

/** The settings of a queue worker, or null when the environment names no queue. Throws: Error when only half of one is named. */
export function queueSettings(env: Environment): QueueSettings | null {
  const takeUrl = env.RUNPOD_WEBHOOK_GET_JOB;
  if (!takeUrl) return null;
  const workerId = env.RUNPOD_POD_ID || randomUUID();
  const template = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`RUNPOD_WEBHOOK_GET_JOB is set but ${name} is not: results would have nowhere to go.`);
    return value.replaceAll('$RUNPOD_POD_ID', workerId);
  };
  return {
    workerId,
    takeUrl: takeUrl.replaceAll('$ID', workerId),
    resultUrlTemplate: template('RUNPOD_WEBHOOK_POST_OUTPUT'),
    streamUrlTemplate: template('RUNPOD_WEBHOOK_POST_STREAM'),
    apiKey: env.RUNPOD_AI_API_KEY ?? '',
    ping: pingSettings(env, workerId),
    refreshWorker: /^(1|true)$/i.test(env.REFRESH_WORKER ?? ''),
  };
}

function pingSettings(env: Environment, workerId: string): QueueSettings['ping'] {
  // Without a key or an id of its own the worker is not on the platform.
  if (!env.RUNPOD_WEBHOOK_PING || !env.RUNPOD_AI_API_KEY || !env.RUNPOD_POD_ID) return null;
  const given = Number(env.RUNPOD_PING_INTERVAL ?? '');
  const intervalMs = Number.isFinite(given) && given > 0 ? given : defaultPingIntervalMs;
  return {
    url: env.RUNPOD_WEBHOOK_PING.replaceAll('$RUNPOD_POD_ID', workerId),
    intervalMs: Math.max(shortestPingIntervalMs, intervalMs),
  };
}
