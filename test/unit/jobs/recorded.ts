/**
 * What of a worker's requests is compared: the parts that a queue can see and that do not change from run to run.
 */
import type { Asked, Channel } from './scripted-queue.ts';

export interface Recorded {
  readonly channel: Channel;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly answer: number | 'cut' | 'held';
}

/** Of the connection, or of the program that asks. */
const leftOut: ReadonlySet<string> = new Set(['host', 'connection', 'content-length', 'user-agent', 'accept']);

export function recorded(asked: readonly Asked[]): Recorded[] {
  return asked.map(({ channel, method, url, headers, body, answer }) => ({
    channel,
    method,
    url,
    headers: Object.fromEntries(
      Object.entries(headers)
        .filter(([name]) => !leftOut.has(name) && !isLeftBehind(name, channel))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
    body: withoutReason(body),
    answer,
  }));
}

/** RunPod's worker keeps the last job's id in its session, so that later requests for jobs carry it by accident. */
function isLeftBehind(name: string, channel: Channel): boolean {
  return name === 'x-request-id' && (channel === 'take' || channel === 'stop');
}

/** Reasons are each program's own words: that there is one is what counts. */
function withoutReason(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || !('error' in body)) return body;
  return { ...body, error: typeof body.error === 'string' ? '<text>' : body.error };
}
