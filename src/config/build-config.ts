/**
 * Makes the server's configuration from the settings' values.
 *
 * Owns what follows from several settings at once: the bundled model and its name, the Hub's folders and token, units.
 * Next: `server-config.ts`, the result's shape.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from './config-error.ts';
import type { Environment } from './parse.ts';
import type { HttpConfig, HubConfig, LoggingConfig, RequestsConfig, ServerConfig } from './server-config.ts';
import type { SettingValues } from './settings.ts';

export const BUNDLED_MODEL_NAME = 'wgslm-demo';

/** What of the machine a configuration depends on. */
export interface Machine {
  readonly env: Environment;
  readonly homeFolder: string;
  /** The text of a file; null when there is none. */
  readonly readText: (path: string) => string | null;
}

export function buildConfig(values: SettingValues, machine: Machine): ServerConfig {
  const isBundledModel = values.model === null;
  const model = values.model === null ? bundledModelFolder() : expandHome(values.model, machine);
  const defaultName = values.model ?? BUNDLED_MODEL_NAME;
  return {
    host: values.host,
    port: values.port,
    model,
    isBundledModel,
    revision: values.revision,
    tokenizer: {
      name: values.tokenizer === null ? null : expandHome(values.tokenizer, machine),
      revision: values.tokenizerRevision,
    },
    servedModelNames: values.servedModelNames.length > 0 ? values.servedModelNames : [defaultName],
    apiKeys: values.apiKeys,
    chatTemplate: values.chatTemplate,
    responseRole: values.responseRole,
    maxLogprobs: values.maxLogprobs,
    maxRequestBodyBytes: values.maxRequestBodyBytes,
    shutdownTimeoutMs: Math.round(values.shutdownTimeout * 1000),
    http: buildHttp(values),
    cors: {
      allowedOrigins: values.allowedOrigins,
      allowedMethods: values.allowedMethods,
      allowedHeaders: values.allowedHeaders,
      allowCredentials: values.allowCredentials,
    },
    admission: {
      maxConcurrency: values.maxConcurrency,
      maxNumQueuedReqs: values.maxNumQueuedReqs,
      maxNumQueuedTokens: values.maxNumQueuedTokens,
      drainDelayMs: Math.round(values.drainDelay * 1000),
    },
    logging: buildLogging(values),
    requests: buildRequests(values),
    scheduling: {
      streamInterval: values.streamInterval,
    },
    jobs: {
      batchGrowth: {
        max: values.defaultBatchSize,
        min: values.defaultMinBatchSize,
        growthFactor: values.defaultBatchSizeGrowthFactor,
      },
      rawOpenaiOutput: values.rawOpenaiOutput,
      nativeOutput: values.nativeOutput,
      maxConcurrency: values.maxConcurrency,
    },
    hub: buildHub(values, machine),
    engine: {
      gpuBinding: values.gpuBinding,
      gpuSubgroups: values.gpuSubgroups,
      gpuF16: values.gpuF16,
      gpuMatrices: values.gpuMatrices,
      dtype: values.dtype,
      quantization: values.quantization,
      intActivations: values.intActivations,
      kvCacheDtype: values.kvCacheDtype,
      maxModelLen: values.maxModelLen,
      blockSize: values.blockSize,
      gpuMemoryUtilization: values.gpuMemoryUtilization,
      gpuMemoryGib: values.gpuMemoryGib,
      numGpuBlocksOverride: values.numGpuBlocksOverride,
      maxNumBatchedTokens: values.maxNumBatchedTokens,
      maxNumSeqs: values.maxNumSeqs,
      enableChunkedPrefill: values.enableChunkedPrefill,
      enablePrefixCaching: values.enablePrefixCaching,
      schedulingPolicy: values.schedulingPolicy,
      stepsInFlight: stepsInFlight(values),
      preemptionMode: values.preemptionMode,
      swapSpaceGib: values.swapSpace,
      schedulerDelayFactor: values.schedulerDelayFactor,
      seed: values.seed,
      tuningFolder: values.autotune ? tuningFolder(values, machine) : null,
      gpuRobustness: values.gpuRobustness,
    },
  };
}

function stepsInFlight(values: SettingValues): number | null {
  if (values.asyncScheduling === false) return 1;
  if (values.numSchedulerSteps > 1) return values.numSchedulerSteps;
  return values.asyncScheduling ? 2 : null;
}

function buildHttp(values: SettingValues): HttpConfig {
  const keyFile = values.sslKeyfile;
  const certFile = values.sslCertfile;
  if ((keyFile === null) !== (certFile === null)) {
    throw new ConfigError('ssl-keyfile and ssl-certfile are not allowed alone: HTTPS needs both');
  }
  return {
    rootPath: withLeadingSlash((values.rootPath ?? '').replace(/\/+$/, '')),
    healthCheckPath: withLeadingSlash(values.healthCheckPath),
    portHealth: values.portHealth === values.port ? null : values.portHealth,
    requestTimeoutMs: Math.round(values.requestTimeout * 1000),
    enableRequestIdHeaders: values.enableRequestIdHeaders,
    sseKeepAliveMs: values.sseKeepAliveMs,
    slowReaderTimeoutMs: values.slowReaderTimeoutMs,
    hasApiDocs: !values.disableFastapiDocs,
    enableTokenizerInfoEndpoint: values.enableTokenizerInfoEndpoint,
    tls: keyFile !== null && certFile !== null ? { keyFile, certFile, caFile: values.sslCaCerts } : null,
  };
}

function withLeadingSlash(path: string): string {
  return path === '' || path.startsWith('/') ? path : `/${path}`;
}

function buildLogging(values: SettingValues): LoggingConfig {
  return {
    format: values.logFormat,
    level: values.uvicornLogLevel,
    enableLogRequests: values.enableLogRequests,
    enableLogOutputs: values.enableLogOutputs,
    enableLogDeltas: values.enableLogDeltas,
    enableLogStats: !values.disableLogStats,
    maxLogLength: values.maxLogLen,
    logErrorStack: values.logErrorStack,
  };
}

function buildRequests(values: SettingValues): RequestsConfig {
  return {
    generationConfig: values.generationConfig,
    overrideGenerationConfig: values.overrideGenerationConfig,
    chatTemplateContentFormat: values.chatTemplateContentFormat,
    trustRequestChatTemplate: values.trustRequestChatTemplate,
    defaultChatTemplateKwargs: values.defaultChatTemplateKwargs,
    excludeToolsWhenToolChoiceNone: values.excludeToolsWhenToolChoiceNone,
    returnTokensAsTokenIds: values.returnTokensAsTokenIds,
    enablePromptTokensDetails: values.enablePromptTokensDetails,
    enableForceIncludeUsage: values.enableForceIncludeUsage,
    enablePerRequestMetrics: values.enablePerRequestMetrics,
    maxNumSequences: values.maxNSequences,
  };
}

/** Beside the models, where the volume has room for both. */
function tuningFolder({ basePath }: SettingValues, machine: Machine): string {
  return expandHome(join(basePath ?? cacheRootOf(machine), 'wgslm', 'tuning'), machine);
}

function cacheRootOf({ env, homeFolder }: Machine): string {
  return env.XDG_CACHE_HOME || join(homeFolder, '.cache');
}

/** Folders and token as Hugging Face's own tools find them, so that one cache serves both. */
function buildHub(values: SettingValues, machine: Machine): HubConfig {
  const { readText } = machine;
  const home = expandHome(values.hfHome ?? join(cacheRootOf(machine), 'huggingface'), machine);
  const hubFolder = values.basePath === null ? join(home, 'hub') : join(values.basePath, 'huggingface-cache', 'hub');
  const cacheDir = expandHome(values.downloadDir ?? values.hfHubCache ?? hubFolder, machine);
  const tokenPath = expandHome(values.hfTokenPath ?? join(home, 'token'), machine);
  const token = values.hfToken ?? (readText(tokenPath)?.trim() || null);
  return { endpoint: values.hfEndpoint, token, cacheDir, offline: values.hfHubOffline };
}

function bundledModelFolder(): string {
  return fileURLToPath(new URL('../../models/demo', import.meta.url));
}

/** Shells expand `~` in arguments but not in the values of environment files. */
export function expandHome(path: string, { homeFolder }: Pick<Machine, 'homeFolder'>): string {
  return path === '~' || path.startsWith('~/') ? join(homeFolder, path.slice(1)) : path;
}
