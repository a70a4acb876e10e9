/**
 * The bytes of one file: from the Hub into a blob that has the right size and hash, or not at all.
 *
 * Owns ranges, resuming, hashing while writing, and the one refetch after a mismatch. A blob gets its name only after the
 * hash was right and the bytes are on disk. Must not know which files are wanted.
 *
 * Under the lock the partial file is `<blob>.incomplete`, and a later run goes on from it: its bytes are hashed again, so
 * whatever another program left there cannot do harm. Without a lock the name is unique, and the file is removed when the
 * attempt fails. Next: `blob-lock.ts`, `snapshot.ts`.
 */

import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileUrl, type RepoFile, subjectOf } from './api.ts';
import { withBlobLock } from './blob-lock.ts';
import { blobPath, fileBytes, type RepoCache, uniqueSuffix } from './cache-layout.ts';
import { errorFromDisk, HubError } from './errors.ts';
import { attempt, get, RangeRefusedError, RetryableError, withRetries } from './request.ts';
import type { HubSession } from './session.ts';

const HASH_CHUNK_BYTES = 4 * 1024 * 1024;

/** Where one blob comes from, and who counts its bytes. */
export interface BlobJob {
  readonly cache: RepoCache;
  readonly commit: string;
  readonly file: RepoFile;
  /** Bytes that were added to (or, negative, taken from) what is done. */
  readonly onBytes: (delta: number) => void;
}

/** The part of a blob that an earlier run left and this one can use. Units: bytes. */
export async function partialBytes(cache: RepoCache, file: RepoFile): Promise<number> {
  const bytes = await fileBytes(partialPath(cache, file));
  return bytes === null || bytes > file.sizeBytes ? 0 : bytes;
}

function partialPath(cache: RepoCache, file: RepoFile): string {
  return `${blobPath(cache, file.blob)}.incomplete`;
}

/** True when the blob is there in full. A blob of another size (some programs store cut ones) is fetched again. */
export async function hasBlob(cache: RepoCache, file: RepoFile): Promise<boolean> {
  return (await fileBytes(blobPath(cache, file.blob))) === file.sizeBytes;
}

/**
 * Makes sure that the blob is in the cache; when another process fetches it, waits for that one.
 * Throws: HubError; the signal's reason when aborted (the partial file stays for the next run).
 */
export async function fetchBlob(session: HubSession, job: BlobJob): Promise<void> {
  const { cache, file } = job;
  const blob = blobPath(cache, file.blob);
  try {
    await withBlobLock(session, cache, file, async (isLocked) => {
      if (await hasBlob(cache, file)) {
        job.onBytes(file.sizeBytes);
        return;
      }
      await mkdir(dirname(blob), { recursive: true });
      const path = isLocked ? partialPath(cache, file) : `${blob}.${uniqueSuffix()}.incomplete`;
      try {
        await fillPartial(session, job, path);
        await rename(path, blob);
      } finally {
        if (!isLocked) await rm(path, { force: true });
      }
    });
  } catch (error) {
    throw errorFromDisk(error, blob);
  }
}

async function fillPartial(session: HubSession, job: BlobJob, path: string): Promise<void> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    const partial = await openPartial(handle, job);
    // A file that was resumed may carry old damage: that does not use up the one refetch.
    let numRefetches = partial.positionBytes > 0 ? 2 : 1;
    for (;;) {
      await download(session, job, partial);
      if (partial.digest() === job.file.blob) break;
      await partial.reset();
      if (numRefetches-- === 0) throw mismatch(job);
    }
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

function mismatch(job: BlobJob): HubError {
  const { file, cache } = job;
  return new HubError(
    'integrity',
    `${cache.id}, file ${file.path}: the bytes that arrive do not have the hash ${file.blob} that the Hub announces, ` +
      'also after another try. A proxy or mirror between may alter them; nothing was stored.',
  );
}

/** A file that grows from its start, with the hash of what it holds. */
interface Partial {
  readonly positionBytes: number;
  append(chunk: Uint8Array): Promise<void>;
  reset(): Promise<void>;
  /** Call once, at the end. */
  digest(): string;
}

async function openPartial(handle: FileHandle, { file, onBytes }: BlobJob): Promise<Partial> {
  let hash = startHash(file);
  let positionBytes = 0;
  if ((await handle.stat()).size > file.sizeBytes) await handle.truncate(0);
  const buffer = new Uint8Array(HASH_CHUNK_BYTES);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, positionBytes);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    positionBytes += bytesRead;
  }
  if (positionBytes > 0) onBytes(positionBytes);
  return {
    get positionBytes() {
      return positionBytes;
    },
    async append(chunk) {
      hash.update(chunk);
      for (let done = 0; done < chunk.length; ) {
        const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, positionBytes + done);
        done += bytesWritten;
      }
      positionBytes += chunk.length;
      onBytes(chunk.length);
    },
    async reset() {
      await handle.truncate(0);
      onBytes(-positionBytes);
      positionBytes = 0;
      hash = startHash(file);
    },
    digest: () => hash.digest('hex'),
  };
}

function startHash(file: RepoFile): Hash {
  if (file.blob.length === 64) return createHash('sha256');
  return createHash('sha1').update(`blob ${file.sizeBytes}\0`);
}

/** Fetches until the partial file has its full size, over as many connections as it takes. */
async function download(session: HubSession, job: BlobJob, partial: Partial): Promise<void> {
  const { file, cache, commit } = job;
  const subject = subjectOf(session, cache.id, commit, file.path);
  const url = fileUrl(session, cache.id, commit, file.path);
  let bytesAtLastTry = partial.positionBytes;
  const hasProgressed = () => {
    const grew = partial.positionBytes > bytesAtLastTry;
    bytesAtLastTry = partial.positionBytes;
    return grew;
  };
  // Nothing is asked for an empty file, or for one that an earlier run fetched in full.
  if (partial.positionBytes === file.sizeBytes) return;
  const fetchRest = () =>
    attempt(session, async (timer) => {
      const from = partial.positionBytes;
      const range: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
      const response = await get(session, url, subject, range, timer);
      await appendBody(response, job, partial, () => timer.touch());
    });
  const fetchOrStartAgain = async () => {
    try {
      await fetchRest();
    } catch (error) {
      if (error instanceof RangeRefusedError) await partial.reset();
      throw error;
    }
  };
  await withRetries(session, subject, fetchOrStartAgain, hasProgressed);
}

/** Throws: RetryableError when the body ends early, or is not the asked range. */
async function appendBody(response: Response, job: BlobJob, partial: Partial, onData: () => void): Promise<void> {
  const { sizeBytes } = job.file;
  let skipBytes = 0;
  if (response.status === 206) {
    const range = response.headers.get('content-range')?.match(/^bytes (\d+)-\d+\/(\d+|\*)$/);
    const isAsked =
      Number(range?.[1]) === partial.positionBytes && (range?.[2] === '*' || Number(range?.[2]) === sizeBytes);
    if (!isAsked) {
      await response.body?.cancel();
      throw new RangeRefusedError(`a wrong range (${response.headers.get('content-range') ?? 'none'})`);
    }
  } else {
    // The server ignores Range and starts at the beginning: pass over what we have.
    skipBytes = partial.positionBytes;
  }
  const reader = response.body?.getReader();
  while (reader !== undefined && partial.positionBytes < sizeBytes) {
    const { done, value } = await reader.read();
    if (done) break;
    onData();
    const numSkipped = Math.min(skipBytes, value.length);
    skipBytes -= numSkipped;
    const wanted = value.subarray(numSkipped, numSkipped + sizeBytes - partial.positionBytes);
    try {
      if (wanted.length > 0) await partial.append(wanted);
    } catch (error) {
      // A full disk is no reason to fetch again.
      await reader.cancel().catch(() => undefined);
      throw diskFailure(error, job);
    }
  }
  if (partial.positionBytes < sizeBytes) {
    throw new RetryableError(`the answer ended at byte ${partial.positionBytes} of ${sizeBytes}`);
  }
  await reader?.cancel().catch(() => undefined);
}

function diskFailure(error: unknown, job: BlobJob): HubError {
  const path = blobPath(job.cache, job.file.blob);
  const known = errorFromDisk(error, path);
  if (known instanceof HubError) return known;
  return new HubError('disk', `Cannot write ${path}: ${String(error)}`, { cause: error });
}
