/**
 * The addresses and headers of the queue's calls.
 *
 * Source: the requests of RunPod's Python worker 1.12, recorded in `test/fixtures/runpod/`. Next: `queue-client.ts`.
 */
import type { QueueSettings } from './queue-settings.ts';

/** The version of the worker protocol that we speak: the queue decides by it what a worker understands. */
export const protocolVersion = '1.12.0';

export function takeUrl(settings: QueueSettings, numJobs: number, hasJobs: boolean): string {
  const base =
    numJobs > 1
      ? `${settings.takeUrl.replace('/job-take/', '/job-take-batch/')}&batch_size=${numJobs}`
      : settings.takeUrl;
  return `${base}&job_in_progress=${hasJobs ? 1 : 0}`;
}

/** Null when the queue has no stop channel. */
export function stopUrl(settings: QueueSettings): string | null {
  const { takeUrl: url } = settings;
  return url.includes('/job-take/') ? url.replace('/job-take/', '/job-stop/') : null;
}

/** Ours is always the handler that streams. */
export function resultUrl(settings: QueueSettings, jobId: string): string {
  return `${withJob(settings.resultUrlTemplate, jobId)}&isStream=true`;
}

/** The parts themselves do not carry the mark. */
export function streamUrl(settings: QueueSettings, jobId: string): string {
  return `${withJob(settings.streamUrlTemplate, jobId)}&isStream=false`;
}

/** Of every request. */
export function identityHeaders(settings: QueueSettings, version: string): Record<string, string> {
  return {
    authorization: settings.apiKey,
    'user-agent': `wgslm/${version} (RunPod worker protocol ${protocolVersion})`,
  };
}

/** Of the requests for jobs. */
export function sessionHeaders(settings: QueueSettings, version: string): Record<string, string> {
  return {
    ...identityHeaders(settings, version),
    'content-type': 'application/json',
    'accept-encoding': 'gzip, deflate',
  };
}

/** Of a result or a part: the body is JSON under a form's name, as the queue expects it. */
export function postHeaders(session: Readonly<Record<string, string>>, jobId: string): Record<string, string> {
  return {
    ...session,
    'content-type': 'application/x-www-form-urlencoded',
    charset: 'utf-8',
    'x-request-id': /^[\x21-\x7e]+$/.test(jobId) ? jobId : encodeURIComponent(jobId),
  };
}

function withJob(template: string, jobId: string): string {
  return template.replaceAll('$ID', encodeURIComponent(jobId));
}
