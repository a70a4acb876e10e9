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
const leftOut = new Set(['host', 'connection', 'content-length', 'user-agent', 'accept']);

export function recorded(asked: readonly Asked[]): Recorded[] {
  return asked.map(({ channel, method, url, headers, body, answer }) => ({
    channel,
    method,
    url,
    headers: Object.fromEntries(
      Object.entries(headers)
        .filter(([name]) => !leftOut.has(name))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
    body,
    answer,
  }));
}
