/**
 * Hugging Face's cache on disk: where everything lies, and how links and refs are read and written.
 *
 *     <cacheDir>/models--org--name/blobs/<etag>                the bytes, named by sha256 (LFS) or git blob sha1
 *                                 /snapshots/<commit>/<path>   relative symlink into blobs
 *                                 /refs/<revision>             the commit, no newline; a revision may contain "/"
 *     <cacheDir>/.locks/models--org--name/<etag>.lock
 *
 * Names that come from the network are checked here before they become paths. Must not know HTTP.
 * Next: `snapshot.ts`, which fills it.
 */

import { copyFile, lstat, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { HubError } from './errors.ts';

/** The folders of one repository in the cache. */
export interface RepoCache {
  readonly id: string;
  readonly folder: string;
  readonly locksFolder: string;
}

export function repoCache(cacheDir: string, id: string): RepoCache {
  const name = `models--${id.replaceAll('/', '--')}`;
  return { id, folder: join(cacheDir, name), locksFolder: join(cacheDir, '.locks', name) };
}

/** True for `name` and `org/name` as the Hub allows them. */
export function isHubId(text: string): boolean {
  if (!/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)?$/.test(text) || text.includes('--') || text.includes('..')) return false;
  return text.split('/').every((part) => part.length <= 96 && !/^[.-]|[.-]$/.test(part));
}

export function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/** True for a name under which a blob may be stored: it is also the hash that its bytes must have. */
export function isBlobName(text: string): boolean {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

/** True when joining `path` to a folder cannot leave it. */
export function isSafePath(path: string): boolean {
  if (path.includes('\\') || path.includes('\0') || /^[A-Za-z]:/.test(path)) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

export function blobPath(cache: RepoCache, blob: string): string {
  return join(cache.folder, 'blobs', blob);
}

export function snapshotFolder(cache: RepoCache, commit: string): string {
  return join(cache.folder, 'snapshots', commit);
}

export function lockPath(cache: RepoCache, blob: string): string {
  return join(cache.locksFolder, `${blob}.lock`);
}

/** The commit that a revision stood for when it was last downloaded, or null. A commit stands for itself. */
export async function readRef(cache: RepoCache, revision: string): Promise<string | null> {
  if (isCommit(revision)) return revision;
  const text = await readFile(refPath(cache, revision), 'utf8').catch(() => null);
  const commit = text?.trim() ?? '';
  return isCommit(commit) ? commit : null;
}

/** Notes which commit a branch or tag stands for. Atomic: a reader never sees half of it. */
export async function writeRef(cache: RepoCache, revision: string, commit: string): Promise<void> {
  if (isCommit(revision) || (await readRef(cache, revision)) === commit) return;
  const path = refPath(cache, revision);
  await mkdir(dirname(path), { recursive: true });
  // Outside refs/, where every file is taken for a revision.
  const temporary = join(cache.folder, `ref-${uniqueSuffix()}.tmp`);
  await writeFile(temporary, commit);
  await rename(temporary, path);
}

function refPath(cache: RepoCache, revision: string): string {
  if (!isSafePath(revision)) throw new HubError('revision-not-found', `"${revision}" is not a valid revision name.`);
  return join(cache.folder, 'refs', revision);
}

/** The size of a file, following links; null when it is missing or the link leads nowhere. Units: bytes. */
export async function fileBytes(path: string): Promise<number | null> {
  const info = await stat(path).catch(() => null);
  return info?.isFile() ? info.size : null;
}

/** Makes `snapshots/<commit>/<path>` lead to a blob, replacing a broken link or a file of another size. */
export async function linkSnapshotFile(cache: RepoCache, commit: string, path: string, blob: string): Promise<void> {
  const target = blobPath(cache, blob);
  const link = join(snapshotFolder(cache, commit), path);
  const linkedBytes = await fileBytes(link);
  if (linkedBytes !== null && linkedBytes === (await fileBytes(target))) return;
  await mkdir(dirname(link), { recursive: true });
  const isThere = (await lstat(link).catch(() => null)) !== null;
  const place = isThere ? join(cache.folder, `link-${uniqueSuffix()}.tmp`) : link;
  try {
    await symlink(relative(dirname(link), target), place);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // Another process linked the same commit between the look and the call: its link is as good.
    if (code === 'EEXIST') return;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error;
    // A filesystem without symlinks: a plain copy reads the same.
    await copyFile(target, place);
  }
  if (place !== link)
    await rename(place, link).catch(async (error: unknown) => {
      await rm(place, { force: true });
      throw error;
    });
}

/** Eight hex digits that make a temporary name unique over processes. */
export function uniqueSuffix(): string {
  return crypto.randomUUID().slice(0, 8);
}
