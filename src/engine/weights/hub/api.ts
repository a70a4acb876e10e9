/**
 * The questions asked of the Hub's API: which commit is this revision, and which files does it have.
 *
 * Owns the addresses and the shape of the answers. Sizes and hashes of all files are thus known before the first byte.
 * Must not know the cache. Next: `snapshot.ts`, which asks; `request.ts`, which sends.
 */

import { isBlobName, isCommit, isSafePath } from './cache-layout.ts';
import { HubError, type HubSubject } from './errors.ts';
import { attempt, get, withRetries } from './request.ts';
import type { HubSession } from './session.ts';

/** A file of a repository at one commit. */
export interface RepoFile {
  /** Relative, with `/`; cannot leave the folder. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Name in `blobs/` and hash at once: sha256 (64 hex digits) of LFS files, else git's blob sha1 (40). */
  readonly blob: string;
}

const MAX_TREE_PAGES = 1000;

export function subjectOf(session: HubSession, id: string, revision: string, file: string | null): HubSubject {
  const { endpoint, token } = session.hub;
  return { endpoint: trimSlash(endpoint), id, revision, file, hasToken: token !== null };
}

/** What a revision stands for now. */
export interface RevisionListing {
  readonly commit: string;
  readonly files: readonly RepoFile[];
}

/** Asks for the commit of a branch, tag, `refs/pr/N` or commit, and for its files. Throws: HubError. */
export async function listRevision(session: HubSession, id: string, revision: string): Promise<RevisionListing> {
  const commit = isCommit(revision) ? revision : await resolveCommit(session, id, revision);
  return { commit, files: await listFiles(session, id, commit) };
}

async function resolveCommit(session: HubSession, id: string, revision: string): Promise<string> {
  const subject = subjectOf(session, id, revision, null);
  const url = `${subject.endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
  const { body } = await getJson(session, url, subject);
  const commit = isRecord(body) ? body.sha : undefined;
  if (typeof commit !== 'string' || !isCommit(commit)) throw strangeAnswer(url);
  return commit;
}

/** All files of a commit, over all pages. */
async function listFiles(session: HubSession, id: string, commit: string): Promise<RepoFile[]> {
  const subject = subjectOf(session, id, commit, null);
  const files: RepoFile[] = [];
  let url: string | null = `${subject.endpoint}/api/models/${id}/tree/${commit}?recursive=true`;
  for (let page = 0; url !== null; page++) {
    if (page === MAX_TREE_PAGES) throw strangeAnswer(url);
    const { body, link } = await getJson(session, url, subject);
    if (!Array.isArray(body)) throw strangeAnswer(url);
    for (const entry of body) {
      const file = readEntry(entry);
      if (file !== null) files.push(file);
    }
    url = nextPage(link, url);
  }
  return files;
}

/** The address of a file's bytes; every part is percent-encoded, `#` and `?` too. */
export function fileUrl(session: HubSession, id: string, commit: string, path: string): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  return `${trimSlash(session.hub.endpoint)}/${id}/resolve/${commit}/${encoded}`;
}

async function getJson(session: HubSession, url: string, subject: HubSubject) {
  return withRetries(session, subject, () =>
    attempt(session, async (timer) => {
      const response = await get(session, url, subject, { accept: 'application/json' }, timer);
      const text = await response.text();
      try {
        return { body: JSON.parse(text) as unknown, link: response.headers.get('link') };
      } catch {
        throw strangeAnswer(url);
      }
    }),
  );
}

/** Null for folders, and for names that could not be stored safely: such a file is never chosen anyway. */
function readEntry(entry: unknown): RepoFile | null {
  if (!isRecord(entry) || entry.type !== 'file') return null;
  const lfs = isRecord(entry.lfs) ? entry.lfs : null;
  const blob = lfs?.oid ?? entry.oid;
  const sizeBytes = lfs?.size ?? entry.size;
  const { path } = entry;
  if (typeof path !== 'string' || typeof blob !== 'string' || typeof sizeBytes !== 'number') return null;
  if (!isSafePath(path) || !isBlobName(blob) || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) return null;
  return { path, blob, sizeBytes };
}

function nextPage(link: string | null, current: string): string | null {
  const next = link?.match(/<([^>]*)>\s*;[^,]*\brel="?next"?/)?.[1];
  return next === undefined ? null : new URL(next, current).href;
}

function strangeAnswer(url: string): HubError {
  return new HubError('network', `${url} did not answer as a Hub does. Check HF_ENDPOINT and the proxy.`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function trimSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
