/**
 * Makes the server's frozen configuration from the settings' values.
 *
 * Owns what follows from several settings at once: the bundled model and its name, the Hub's folders and token, units.
 * The machine (home folder, files) comes in as a parameter, so that tests need none.
 * Next: `server-config.ts`, the result's shape; `describe.ts`, the help text.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from './config-error.ts';
import { helpText } from './describe.ts';
import { type Environment, parseSettings } from './parse.ts';
import type { HubConfig, ServerConfig } from './server-config.ts';
import type { SettingValues } from './settings.ts';

export const BUNDLED_MODEL_NAME = 'wgslm-demo';

/** What a configuration is read from. */
export interface Surroundings {
  readonly args: readonly string[];
  readonly env: Environment;
  readonly homeFolder: string;
  /** The text of a file; null when there is none. */
  readonly readText: (path: string) => string | null;
}

export type Loaded =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'config'; readonly config: ServerConfig };

/** The surroundings of this process. */
export function processSurroundings(): Surroundings {
  return { args: process.argv.slice(2), env: process.env, homeFolder: homedir(), readText: tryReadText };
}

/**
 * The configuration, or the text that was asked for instead.
 * Throws: ConfigError when a setting cannot be used.
 */
export function loadConfig(surroundings: Surroundings): Loaded {
  const parsed = parseSettings(surroundings.args, surroundings.env);
  if (parsed.kind === 'help') return { kind: 'help', text: helpText() };
  if (parsed.kind === 'version') return parsed;
  return { kind: 'config', config: deepFreeze(buildConfig(parsed.values, surroundings)) };
}

function buildConfig(values: SettingValues, surroundings: Surroundings): ServerConfig {
  const isBundledModel = values.model === null;
  const model = values.model === null ? bundledModelFolder() : expandHome(values.model, surroundings);
  const defaultName = values.model ?? BUNDLED_MODEL_NAME;
  return {
    host: values.host,
    port: values.port,
    model,
    isBundledModel,
    revision: values.revision,
    servedModelNames: values.servedModelNames.length > 0 ? values.servedModelNames : [defaultName],
    apiKeys: values.apiKeys,
    chatTemplate: values.chatTemplate,
    responseRole: values.responseRole,
    maxLogprobs: values.maxLogprobs,
    maxRequestBodyBytes: values.maxRequestBodyBytes,
    shutdownTimeoutMs: Math.round(values.shutdownTimeout * 1000),
    hub: buildHub(values, surroundings),
    engine: {
      gpuBinding: values.gpuBinding,
      dtype: values.dtype,
      kvCacheDtype: values.kvCacheDtype,
      maxModelLen: values.maxModelLen,
      blockSize: values.blockSize,
      gpuMemoryUtilization: values.gpuMemoryUtilization,
      gpuMemoryGib: values.gpuMemoryGib,
      numGpuBlocksOverride: values.numGpuBlocksOverride,
      maxNumBatchedTokens: values.maxNumBatchedTokens,
      maxNumSeqs: values.maxNumSeqs,
      enableChunkedPrefill: values.enableChunkedPrefill,
      seed: values.seed,
      gpuRobustness: values.gpuRobustness,
    },
  };
}

/** Folders and token as Hugging Face's own tools find them, so that one cache serves both. */
function buildHub(values: SettingValues, surroundings: Surroundings): HubConfig {
  const { env, homeFolder, readText } = surroundings;
  const cacheRoot = env.XDG_CACHE_HOME || join(homeFolder, '.cache');
  const home = expandHome(values.hfHome ?? join(cacheRoot, 'huggingface'), surroundings);
  const cacheDir = expandHome(values.downloadDir ?? values.hfHubCache ?? join(home, 'hub'), surroundings);
  const tokenPath = expandHome(values.hfTokenPath ?? join(home, 'token'), surroundings);
  const token = values.hfToken ?? (readText(tokenPath)?.trim() || null);
  return { endpoint: values.hfEndpoint, token, cacheDir, offline: values.hfHubOffline };
}

function bundledModelFolder(): string {
  return fileURLToPath(new URL('../../models/demo', import.meta.url));
}

/** Shells expand `~` in arguments but not in the values of environment files. */
function expandHome(path: string, { homeFolder }: Surroundings): string {
  return path === '~' || path.startsWith('~/') ? join(homeFolder, path.slice(1)) : path;
}

function tryReadText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new ConfigError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
