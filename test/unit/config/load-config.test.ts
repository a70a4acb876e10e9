/** The configuration that the server receives: defaults, what follows from several settings, and that it is frozen. */
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { loadConfig } from '../../../src/config/load-config.ts';
import type { Environment } from '../../../src/config/parse.ts';
import type { ServerConfig } from '../../../src/config/server-config.ts';

function load(env: Environment = {}, files: Readonly<Record<string, string>> = {}): ServerConfig {
  const readText = (path: string) => files[path] ?? null;
  const loaded = loadConfig({ args: [], env, homeFolder: '/home/u', readText });
  if (loaded.kind !== 'config') throw new Error(`expected a configuration, got ${loaded.kind}`);
  return loaded.config;
}

test('without any setting the bundled model is served', () => {
  const config = load();
  expect(config.isBundledModel).toBe(true);
  expect(config.servedModelNames).toEqual(['wgslm-demo']);
  expect(isAbsolute(config.model)).toBe(true);
  expect(config.model).toEndWith('models/demo');
  expect(existsSync(dirname(config.model))).toBe(true);
});

test('the defaults', () => {
  const { model: _folder, ...rest } = load();
  expect(rest).toEqual({
    host: '0.0.0.0',
    port: 8000,
    isBundledModel: true,
    revision: 'main',
    servedModelNames: ['wgslm-demo'],
    apiKeys: [],
    chatTemplate: null,
    responseRole: 'assistant',
    maxLogprobs: 20,
    maxRequestBodyBytes: 33_554_432,
    shutdownTimeoutMs: 30_000,
    hub: {
      endpoint: 'https://huggingface.co',
      token: null,
      cacheDir: '/home/u/.cache/huggingface/hub',
      offline: false,
    },
    engine: {
      gpuBinding: 'auto',
      dtype: 'auto',
      kvCacheDtype: 'auto',
      maxModelLen: null,
      blockSize: 16,
      gpuMemoryUtilization: 0.95,
      gpuMemoryGib: null,
      numGpuBlocksOverride: null,
      maxNumBatchedTokens: null,
      maxNumSeqs: 256,
      enableChunkedPrefill: true,
      seed: 0,
      gpuRobustness: false,
    },
  });
});

test('a named model is served under its name unless another is given', () => {
  expect(load({ MODEL_NAME: 'org/name' })).toMatchObject({
    model: 'org/name',
    isBundledModel: false,
    servedModelNames: ['org/name'],
  });
  expect(load({ MODEL_NAME: 'org/name', SERVED_MODEL_NAME: 'a,b' }).servedModelNames).toEqual(['a', 'b']);
  expect(load({ MODEL_NAME: '~/models/x' }).model).toBe('/home/u/models/x');
});

test('units are converted', () => {
  expect(load({ SHUTDOWN_TIMEOUT: '2.5' }).shutdownTimeoutMs).toBe(2500);
});

describe('the Hub', () => {
  test('folders follow from each other', () => {
    expect(load({ XDG_CACHE_HOME: '/x' }).hub.cacheDir).toBe('/x/huggingface/hub');
    expect(load({ HF_HOME: '~/hf', XDG_CACHE_HOME: '/x' }).hub.cacheDir).toBe('/home/u/hf/hub');
    expect(load({ HF_HUB_CACHE: '/c', HF_HOME: '/h' }).hub.cacheDir).toBe('/c');
    expect(load({ DOWNLOAD_DIR: '/d', HF_HUB_CACHE: '/c' }).hub.cacheDir).toBe('/d');
  });

  test('the token is the variable, else the file', () => {
    const files = { '/home/u/.cache/huggingface/token': 'from-home\n', '/t': 'from-path', '/h/token': ' ' };
    expect(load({}, files).hub.token).toBe('from-home');
    expect(load({ HF_TOKEN_PATH: '/t' }, files).hub.token).toBe('from-path');
    expect(load({ HF_TOKEN: 'set', HF_TOKEN_PATH: '/t' }, files).hub.token).toBe('set');
    expect(load({ HF_HOME: '/h' }, files).hub.token).toBeNull();
  });

  test('an address loses its last slash', () => {
    expect(load({ HF_ENDPOINT: 'http://mirror.example/hf/' }).hub.endpoint).toBe('http://mirror.example/hf');
  });
});

test('all of it is frozen', () => {
  const config = load({ API_KEY: 'k' });
  const parts = [config, config.hub, config.engine, config.apiKeys, config.servedModelNames];
  expect(parts.every((part) => Object.isFrozen(part))).toBe(true);
});

test('help is text', () => {
  const loaded = loadConfig({ args: ['--help'], env: {}, homeFolder: '/', readText: () => null });
  expect(loaded.kind === 'help' && loaded.text).toContain('--max-model-len N');
});
