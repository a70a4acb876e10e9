/**
 * A listed revision, from the Hub into a complete snapshot folder.
 *
 * Owns the order: choice, index, space, transfers side by side, then the links (config.json last), then the ref. So a ref
 * never leads to half a snapshot of ours, and an interrupted download is seen as incomplete.
 * Next: `transfer.ts` (one file), `resolve.ts` (what happens when this fails).
 */

import { mkdir, readFile } from 'node:fs/promises';
import { EngineError } from '../../types.ts';
import { parseWeightIndex, WEIGHT_INDEX_FILE } from '../weight-index.ts';
import type { RepoFile, RevisionListing } from './api.ts';
import { blobPath, linkSnapshotFile, type RepoCache, snapshotFolder, writeRef } from './cache-layout.ts';
import { chooseFiles } from './choose-files.ts';
import { errorFromDisk, HubError } from './errors.ts';
import type { HubSession } from './session.ts';
import { fetchBlob, hasBlob, partialBytes } from './transfer.ts';

/**
 * Fetches what is missing and gives the snapshot's folder. Writes nothing when all is there.
 * Throws: HubError; the signal's reason when aborted.
 */
export async function downloadSnapshot(
  session: HubSession,
  cache: RepoCache,
  revision: string,
  { commit, files }: RevisionListing,
): Promise<string> {
  const wanted = await chooseAll(session, cache, commit, files);
  try {
    await fetchAll(session, cache, commit, wanted);
    const config = wanted.filter((file) => file.path === 'config.json');
    const others = wanted.filter((file) => file.path !== 'config.json');
    for (const file of [...others, ...config]) await linkSnapshotFile(cache, commit, file.path, file.blob);
    await writeRef(cache, revision, commit);
  } catch (error) {
    throw errorFromDisk(error, cache.folder);
  }
  return snapshotFolder(cache, commit);
}

/** The chosen files with the shards of the index, which is fetched for that. */
async function chooseAll(
  session: HubSession,
  cache: RepoCache,
  commit: string,
  files: readonly RepoFile[],
): Promise<readonly RepoFile[]> {
  const choice = chooseFiles(cache.id, files);
  const byPath = new Map(files.map((file) => [file.path, file]));
  const pick = (path: string): RepoFile => {
    const file = byPath.get(path);
    if (file !== undefined) return file;
    throw new HubError('unsupported', `${cache.id} has no ${path}, although its ${WEIGHT_INDEX_FILE} names it.`);
  };
  if (choice.weights.kind === 'files') return [...choice.small, ...choice.weights.files.map(pick)];

  const index = pick(WEIGHT_INDEX_FILE);
  if (!(await hasBlob(cache, index)))
    await fetchBlob(session, { cache, commit, file: index, onBytes: () => undefined });
  const text = await readFile(blobPath(cache, index.blob), 'utf8');
  const shards = new Set(shardMap(text, cache.id).values());
  return [...choice.small, index, ...[...shards].toSorted().map(pick)];
}

function shardMap(text: string, id: string): ReadonlyMap<string, string> {
  try {
    return parseWeightIndex(text, `${id}, ${WEIGHT_INDEX_FILE}`);
  } catch (error) {
    if (error instanceof EngineError) throw new HubError('unsupported', error.message, { cause: error });
    throw error;
  }
}

async function fetchAll(session: HubSession, cache: RepoCache, commit: string, wanted: readonly RepoFile[]) {
  // Two names with the same content share one blob.
  const blobs = [...new Map(wanted.map((file) => [file.blob, file])).values()];
  const missing: RepoFile[] = [];
  for (const file of blobs) if (!(await hasBlob(cache, file))) missing.push(file);
  if (missing.length === 0) return;

  await mkdir(cache.folder, { recursive: true });
  await assertSpace(session, cache, missing);
  const bytesTotal = sumBytes(blobs);
  let bytesDone = bytesTotal - sumBytes(missing);
  await runParallel(session, missing, (inner, file) =>
    fetchBlob(inner, {
      cache,
      commit,
      file,
      onBytes(delta) {
        bytesDone += delta;
        session.onProgress({ file: file.path, bytesDone, bytesTotal });
      },
    }),
  );
}

async function assertSpace(session: HubSession, cache: RepoCache, missing: readonly RepoFile[]): Promise<void> {
  let neededBytes = sumBytes(missing);
  for (const file of missing) neededBytes -= await partialBytes(cache, file);
  const freeBytes = await session.settings.freeBytes(cache.folder);
  if (freeBytes === null || freeBytes >= neededBytes) return;
  throw new HubError(
    'disk',
    `${cache.id} needs ${formatBytes(neededBytes)} more in ${cache.folder}, where ${formatBytes(freeBytes)} are free. ` +
      'Free some, or set HF_HOME to another disk.',
  );
}

/** Runs a few at a time. The first failure stops the others, which keep what they have, and is thrown when all have ended. */
async function runParallel(
  session: HubSession,
  files: readonly RepoFile[],
  work: (session: HubSession, file: RepoFile) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const inner: HubSession = { ...session, signal: AbortSignal.any([session.signal, stop.signal]) };
  const queue = files.values();
  const failures: unknown[] = [];
  const worker = async () => {
    for (const file of queue) {
      try {
        await work(inner, file);
      } catch (error) {
        failures.push(error);
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: session.settings.numParallelFiles }, worker));
  if (failures.length > 0) throw failures[0];
}

function sumBytes(files: readonly RepoFile[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0);
}

function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}
