/** The configuration that the server receives: defaults, what follows from several settings, and that it is frozen. */
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import type { Environment } from '../../../src/config/parse.ts';
import type { ServerConfig } from '../../../src/config/server-config.ts';
import { load as loadFrom, refusalOf } from './read-settings.ts';

function load(env: Environment = {}, files: Readonly<Record<string, string>> = {}): ServerConfig {
  const loaded = loadFrom({ env, files });
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
    tokenizer: { name: null, revision: null },
    http: {
      rootPath: '',
      healthCheckPath: '/ping',
      portHealth: null,
      requestTimeoutMs: 3_600_000,
      enableRequestIdHeaders: false,
      sseKeepAliveMs: 10_000,
      slowReaderTimeoutMs: 30_000,
      hasApiDocs: true,
      enableTokenizerInfoEndpoint: false,
      tls: null,
    },
    cors: { allowedOrigins: ['*'], allowedMethods: ['*'], allowedHeaders: ['*'], allowCredentials: false },
    admission: { maxConcurrency: 300, maxNumQueuedReqs: null, maxNumQueuedTokens: null, drainDelayMs: 5000 },
    logging: {
      format: 'auto',
      level: 'info',
      enableLogRequests: true,
      enableLogOutputs: false,
      enableLogDeltas: true,
      enableLogStats: true,
      maxLogLength: null,
      logErrorStack: false,
    },
    requests: {
      generationConfig: 'auto',
      overrideGenerationConfig: null,
      chatTemplateContentFormat: 'auto',
      trustRequestChatTemplate: false,
      defaultChatTemplateKwargs: null,
      excludeToolsWhenToolChoiceNone: false,
      returnTokensAsTokenIds: false,
      enablePromptTokensDetails: false,
      enableForceIncludeUsage: false,
      enablePerRequestMetrics: false,
      maxNumSequences: 16_384,
    },
    scheduling: { streamInterval: 1 },
    jobs: {
      batchGrowth: { max: 50, min: 1, growthFactor: 3 },
      rawOpenaiOutput: true,
      nativeOutput: 'batches',
      maxConcurrency: 300,
    },
    hub: {
      endpoint: 'https://huggingface.co',
      token: null,
      cacheDir: '/home/u/.cache/huggingface/hub',
      offline: false,
    },
    engine: {
      gpuBinding: 'auto',
      gpuSubgroups: 'auto',
      gpuF16: 'auto',
      gpuMatrices: 'auto',
      dtype: 'auto',
      kvCacheDtype: 'auto',
      quantization: null,
      intActivations: false,
      maxModelLen: null,
      blockSize: 16,
      gpuMemoryUtilization: 0.95,
      gpuMemoryGib: null,
      numGpuBlocksOverride: null,
      maxNumBatchedTokens: null,
      maxNumSeqs: 256,
      enableChunkedPrefill: true,
      enablePrefixCaching: true,
      schedulingPolicy: 'fcfs',
      stepsInFlight: null,
      preemptionMode: 'recompute',
      swapSpaceGib: 4,
      schedulerDelayFactor: 0,
      seed: 0,
      tuningFolder: '/home/u/.cache/wgslm/tuning',
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

test('measured sizes of kernels are kept beside the models, unless nothing is measured', () => {
  expect(load({ XDG_CACHE_HOME: '/x' }).engine.tuningFolder).toBe('/x/wgslm/tuning');
  expect(load({ BASE_PATH: '/v', XDG_CACHE_HOME: '/x' }).engine.tuningFolder).toBe('/v/wgslm/tuning');
  expect(load({ AUTOTUNE: '0' }).engine.tuningFolder).toBeNull();
});

describe('the Hub', () => {
  test('folders follow from each other', () => {
    expect(load({ XDG_CACHE_HOME: '/x' }).hub.cacheDir).toBe('/x/huggingface/hub');
    expect(load({ HF_HOME: '~/hf', XDG_CACHE_HOME: '/x' }).hub.cacheDir).toBe('/home/u/hf/hub');
    expect(load({ HF_HUB_CACHE: '/c', HF_HOME: '/h' }).hub.cacheDir).toBe('/c');
    expect(load({ DOWNLOAD_DIR: '/d', HF_HUB_CACHE: '/c' }).hub.cacheDir).toBe('/d');
    expect(load({ BASE_PATH: '/v', HF_HOME: '/h' }).hub.cacheDir).toBe('/v/huggingface-cache/hub');
    expect(load({ BASE_PATH: '/v', HF_HUB_CACHE: '/c' }).hub.cacheDir).toBe('/c');
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

test('a configuration file is found in the home folder, and a missing or broken one is named', () => {
  expect(load({ CONFIG_FILE: '~/c.yaml' }, { '/home/u/c.yaml': 'port: 1' }).port).toBe(1);
  expect(refusalOf(() => load({ CONFIG_FILE: 'c.yaml' }))).toBe('config c.yaml is not allowed: there is no such file');
  expect(refusalOf(() => load({ CONFIG_FILE: 'c.yaml' }, { 'c.yaml': 'a: [' }))).toStartWith(
    'config c.yaml is not allowed: ',
  );
});

test('help is text', () => {
  const loaded = loadFrom({ args: ['--help'] });
  expect(loaded.kind === 'help' && loaded.text).toContain('--max-model-len N');
});

test('a key without its certificate is refused, not served in the clear', () => {
  for (const name of ['SSL_KEYFILE', 'SSL_CERTFILE']) {
    expect(() => load({ [name]: 'file.pem' })).toThrow('HTTPS needs both');
  }
  expect(load({ SSL_KEYFILE: 'k', SSL_CERTFILE: 'c' }).http.tls).toMatchObject({
    keyFile: 'k',
    certFile: 'c',
  });
});

test('paths begin with a slash and do not end with one; a probe port of the same number is none', () => {
  const { http } = load({ ROOT_PATH: 'llm/', HEALTH_CHECK_PATH: 'up', PORT: '80', PORT_HEALTH: '80' });
  expect([http.rootPath, http.healthCheckPath, http.portHealth]).toEqual(['/llm', '/up', null]);
});
