/**
 * The thread that sends signs of life. Started by `ping.ts`.
 *
 * Source: the heartbeat of RunPod's Python worker: interval, query, time-out of two intervals, three more attempts on 429 and 5xx.
 */
import { parentPort, workerData } from 'node:worker_threads';

export interface PingThreadData {
  readonly url: string;
  readonly intervalMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly protocolVersion: string;
}

/** The jobs in progress, whenever they change. */
export interface PingMessage {
  readonly jobIds: readonly string[];
}

const retriedStatuses: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);
const retryDelaysMs = [0, 2000, 4000];

const data = workerData as PingThreadData;
let jobIds: readonly string[] = [];
parentPort?.on('message', (message: PingMessage) => {
  jobIds = message.jobIds;
});

for (;;) {
  await ping();
  await pause(data.intervalMs);
}

async function ping(): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const problem = await pingOnce();
    if (problem === null) return;
    const delayMs = retryDelaysMs[attempt];
    if (!problem.isPassing || delayMs === undefined) {
      parentPort?.postMessage(problem.reason);
      return;
    }
    await pause(delayMs);
  }
}

/** Null when all is well. */
async function pingOnce(): Promise<{ readonly isPassing: boolean; readonly reason: string } | null> {
  try {
    const url = new URL(data.url);
    if (jobIds.length > 0) url.searchParams.append('job_id', jobIds.join(','));
    url.searchParams.append('runpod_version', data.protocolVersion);
    const response = await fetch(url, { headers: data.headers, signal: AbortSignal.timeout(data.intervalMs * 2) });
    await response.text();
    if (response.ok) return null;
    return { isPassing: retriedStatuses.has(response.status), reason: `status ${response.status}` };
  } catch (error) {
    return { isPassing: true, reason: error instanceof Error ? error.message : String(error) };
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
