/**
 * One transfer per blob, over all processes that use the cache.
 *
 * Owns the waiting: the lock itself is `runtime/flock.ts`, in the place and manner of Python's huggingface_hub. Where no
 * lock is to be had the work runs without one: unique temporary names and atomic renames keep it correct, at the price of
 * fetching the same bytes twice. Next: `transfer.ts`.
 */

import type { RepoFile } from './api.ts';
import { lockPath, type RepoCache } from './cache-layout.ts';
import type { HubSession } from './session.ts';

const POLL_MS = 100;

/** Runs `work` when nobody else works on this blob. `isLocked` is false where locks are not supported. */
export async function withBlobLock<T>(
  session: HubSession,
  cache: RepoCache,
  file: RepoFile,
  work: (isLocked: boolean) => Promise<T>,
): Promise<T> {
  const { tryLock, delay } = session.settings;
  for (let hasWaited = false; ; hasWaited = true) {
    session.signal.throwIfAborted();
    const lock = await tryLock(lockPath(cache, file.blob));
    if (lock === 'busy') {
      if (!hasWaited) session.onNotice(`Waiting for another download of ${cache.id}, file ${file.path}.`);
      await delay(POLL_MS, session.signal);
      continue;
    }
    if (lock === 'unsupported') return work(false);
    try {
      return await work(true);
    } finally {
      lock.release();
    }
  }
}
