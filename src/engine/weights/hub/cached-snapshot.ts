/**
 * What the cache can offer without the network.
 *
 * Owns the judgement whether a cached snapshot is complete enough to load: Python may have fetched single files only.
 * Must not know HTTP. Next: `resolve.ts`, which falls back to it.
 */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chooseWeightLayout, parseWeightIndex, WEIGHT_INDEX_FILE } from '../weight-index.ts';
import { fileBytes, type RepoCache, readRef, snapshotFolder } from './cache-layout.ts';

/** A snapshot to load, or why there is none. */
export type CachedSnapshot =
  | { readonly ok: true; readonly folder: string }
  /** A clause for a sentence: "the cache has ...". */
  | { readonly ok: false; readonly reason: string };

export async function findCachedSnapshot(cache: RepoCache, revision: string): Promise<CachedSnapshot> {
  const commit = await readRef(cache, revision);
  if (commit === null) return { ok: false, reason: `nothing for revision "${revision}"` };
  const folder = snapshotFolder(cache, commit);
  const names = await readdir(folder).catch(() => []);
  const missing = await findMissing(folder, names);
  if (missing === null) return { ok: true, folder };
  return { ok: false, reason: `revision "${revision}" without ${missing} (${folder})` };
}

async function findMissing(folder: string, names: readonly string[]): Promise<string | null> {
  if ((await fileBytes(join(folder, 'config.json'))) === null) return 'config.json';
  const layout = chooseWeightLayout(names);
  if (layout === null) return 'safetensors weights';
  const files = layout.kind === 'files' ? layout.files : await readShards(folder);
  if (files === null) return `a readable ${WEIGHT_INDEX_FILE}`;
  for (const file of files) {
    if ((await fileBytes(join(folder, file))) === null) return file;
  }
  return null;
}

async function readShards(folder: string): Promise<ReadonlySet<string> | null> {
  try {
    const text = await readFile(join(folder, WEIGHT_INDEX_FILE), 'utf8');
    return new Set(parseWeightIndex(text, WEIGHT_INDEX_FILE).values());
  } catch {
    return null;
  }
}
