/**
 * From the name of a model to a folder that can be loaded: the entry of the downloader.
 *
 * Owns the decision between a local folder, the Hub and the cache. Must not know how bytes are fetched.
 * Next: `snapshot.ts` (online), `cached-snapshot.ts` (offline).
 */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { HubConfig } from '../../../config/server-config.ts';
import { listRevision } from './api.ts';
import { fileBytes, isHubId, isSafePath, repoCache } from './cache-layout.ts';
import { type CachedSnapshot, findCachedSnapshot } from './cached-snapshot.ts';
import { HubError } from './errors.ts';
import { DEFAULT_HUB_SETTINGS, type HubProgress, type HubSession, type HubSettings } from './session.ts';
import { downloadSnapshot } from './snapshot.ts';

export interface ResolveOptions {
  /** Called for every chunk that arrives: throttle where it is shown. Not called when nothing has to be fetched. */
  readonly onProgress?: (progress: HubProgress) => void;
  /** One sentence that a user should see: a cached copy is used, another process is waited for. */
  readonly onNotice?: (message: string) => void;
  readonly signal?: AbortSignal;
  /** Other than the defaults; for tests. */
  readonly settings?: Partial<HubSettings>;
}

/**
 * Gives the folder of a model: a local folder as it is, or the snapshot of a Hub id in the cache, downloaded if needed.
 *
 * `revision` is a branch, a tag, `refs/pr/N` or a commit, and is ignored for a folder. When the Hub cannot be reached, the
 * copy that the revision last stood for is used if it is complete.
 * Throws: HubError; the signal's reason when aborted.
 */
export async function resolveModelFolder(
  model: string,
  revision: string,
  hub: HubConfig,
  options: ResolveOptions = {},
): Promise<string> {
  if (await isLocal(model)) return model;
  if (!isSafePath(revision)) throw new HubError('revision-not-found', `"${revision}" is not a valid revision name.`);
  const cache = repoCache(hub.cacheDir, model);
  const cached = await findCachedSnapshot(cache, revision);
  if (hub.offline) return useOffline(cached, model);

  const settings = { ...DEFAULT_HUB_SETTINGS, ...options.settings };
  const onNotice = options.onNotice ?? (() => undefined);
  const session: HubSession = {
    hub,
    settings,
    signal: options.signal ?? new AbortController().signal,
    onProgress: options.onProgress ?? (() => undefined),
    onNotice,
  };
  try {
    // The Hub is asked even when all is cached, because a branch moves. But with a copy at hand a dead network should not
    // delay the start for long.
    const numRetries = cached.ok ? Math.min(1, settings.numRetries) : settings.numRetries;
    const listing = await listRevision({ ...session, settings: { ...settings, numRetries } }, model, revision);
    return await downloadSnapshot(session, cache, revision, listing);
  } catch (error) {
    if (!(error instanceof HubError && error.code === 'network' && cached.ok)) throw error;
    onNotice(`${error.message} Using the copy in the cache: ${cached.folder}`);
    return cached.folder;
  }
}

/** Throws: HubError when it is a path, but not one of a checkpoint; or neither a path nor a Hub id. */
async function isLocal(model: string): Promise<boolean> {
  const info = await stat(model).catch(() => null);
  if (info?.isDirectory()) {
    if ((await fileBytes(join(model, 'config.json'))) !== null) return true;
    const hint = isHubId(model) ? ' Because this folder exists, the Hub is not asked.' : '';
    throw new HubError('not-found', `The folder ${model} has no config.json: it is not a checkpoint.${hint}`);
  }
  if (info !== null) {
    throw new HubError('not-found', `${model} is a file. Name the folder that holds config.json and the weights.`);
  }
  if (isHubId(model)) return false;
  throw new HubError('not-found', `${model} is neither a folder that exists nor a Hub id of the form org/name.`);
}

function useOffline(cached: CachedSnapshot, model: string): string {
  if (cached.ok) return cached.folder;
  throw new HubError(
    'offline',
    `${model} is not complete in the cache, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network: ` +
      `the cache has ${cached.reason}. Start once without it.`,
  );
}
