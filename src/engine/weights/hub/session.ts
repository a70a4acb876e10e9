/**
 * What every part of one download shares: the Hub's address, who listens, and how to wait.
 *
 * Owns the defaults of retries, timeouts and parallelism. The outside world (fetch, waiting, locks, free space) comes in
 * through {@link HubSettings}, so that tests neither sleep nor fill a disk.
 * Next: `resolve.ts` (the entry), `request.ts` (HTTP).
 */

import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HubConfig } from '../../../config/server-config.ts';
import { tryLockFile } from '../../../runtime/flock.ts';

/** How far a download is. Units: bytes. */
export interface HubProgress {
  /** The file that the last bytes belong to. */
  readonly file: string;
  /** Over all files, with what the cache already had. Falls when bytes turn out to be corrupt and are fetched again. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface HubSettings {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Rejects when the signal is aborted. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Tries after the first that bring no byte before giving up. */
  readonly numRetries: number;
  /** A connection that is silent for this long counts as broken. */
  readonly stallTimeoutMs: number;
  readonly numParallelFiles: number;
  readonly tryLock: typeof tryLockFile;
  /** Free bytes for this user on the folder's disk, or null when unknown. */
  readonly freeBytes: (folder: string) => Promise<number | null>;
}

export const DEFAULT_HUB_SETTINGS: HubSettings = {
  fetch: (url, init) => fetch(url, init),
  delay: async (ms, signal) => {
    await sleep(ms, undefined, { signal });
  },
  numRetries: 5,
  stallTimeoutMs: 30_000,
  numParallelFiles: 4,
  tryLock: tryLockFile,
  freeBytes: async (folder) => {
    const info = await statfs(folder).catch(() => null);
    return info === null ? null : info.bavail * info.bsize;
  },
};

/** One call of `resolveModelFolder`. */
export interface HubSession {
  readonly hub: HubConfig;
  readonly settings: HubSettings;
  readonly signal: AbortSignal;
  /** Called for every chunk that arrives: throttle where it is shown. */
  readonly onProgress: (progress: HubProgress) => void;
  /** One sentence that a user should see, such as the use of a cached copy. */
  readonly onNotice: (message: string) => void;
}
