/**
 * Signs of life for RunPod, sent from a thread of their own: a busy main thread must not look dead.
 *
 * Next: `ping-thread.ts`, which sends them.
 */
import { Worker } from 'node:worker_threads';
import type { JobLog } from './job-log.ts';
import type { PingMessage, PingThreadData } from './ping-thread.ts';
import type { QueueSettings } from './queue-settings.ts';
import { identityHeaders, protocolVersion } from './queue-urls.ts';

export interface Ping {
  /** The jobs that the next signs of life name. */
  show(jobIds: readonly string[]): void;
  stop(): Promise<void>;
}

/** Null when nobody listens. */
export function startPing(settings: QueueSettings, version: string, log: JobLog): Ping | null {
  if (settings.ping === null) return null;
  const data: PingThreadData = {
    url: settings.ping.url,
    intervalMs: settings.ping.intervalMs,
    headers: identityHeaders(settings, version),
    protocolVersion,
  };
  const thread = new Worker(new URL('./ping-thread.ts', import.meta.url), { workerData: data });
  thread.unref();
  thread.on('message', (text: string) => log.warn(`Ping: ${text}`));
  thread.on('error', (error) => log.error(`The ping thread failed: ${error instanceof Error ? error.message : error}`));
  return {
    show(jobIds) {
      const message: PingMessage = { jobIds };
      thread.postMessage(message);
    },
    stop: async () => {
      await thread.terminate();
    },
  };
}
