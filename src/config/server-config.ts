/**
 * The shape of the frozen configuration that the rest of the server receives.
 *
 * Names carry their units. Values come from flags, environment and YAML through the table in `settings.ts`. Fields of settings whose
 * status there is `planned` hold their default until somebody reads them and the status says `acts`.
 */

export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  /** A local folder or a Hub id. */
  readonly model: string;
  /** True when no model was named and the bundled one is served. */
  readonly isBundledModel: boolean;
  readonly revision: string;
  readonly tokenizer: TokenizerConfig;
  /** First one is what responses carry; all are accepted. */
  readonly servedModelNames: readonly string[];
  /** Any of these is accepted as bearer token; empty = open. */
  readonly apiKeys: readonly string[];
  /** Jinja text or a path to it; null = the checkpoint's own. */
  readonly chatTemplate: string | null;
  readonly responseRole: string;
  readonly maxLogprobs: number;
  readonly maxRequestBodyBytes: number;
  /** How long a drain may take before what still runs is aborted. */
  readonly shutdownTimeoutMs: number;
  readonly http: HttpConfig;
  readonly cors: CorsConfig;
  readonly admission: AdmissionConfig;
  readonly logging: LoggingConfig;
  readonly requests: RequestsConfig;
  readonly scheduling: SchedulingConfig;
  readonly jobs: JobsConfig;
  readonly hub: HubConfig;
  readonly engine: EngineConfig;
}

export interface TokenizerConfig {
  /** A local folder or a Hub id; null = the model's own. */
  readonly name: string | null;
  /** null = the model's. */
  readonly revision: string | null;
}

export interface HttpConfig {
  /** In front of all routes, without a slash at the end; empty = none. */
  readonly rootPath: string;
  /** Another path that answers as `/ping` does. */
  readonly healthCheckPath: string;
  /** A port for probes alone; null = none of its own. */
  readonly portHealth: number | null;
  /** How long a generation may take. */
  readonly requestTimeoutMs: number;
  readonly enableRequestIdHeaders: boolean;
  /** 0 = never. */
  readonly sseKeepAliveMs: number;
  /** 0 = never. */
  readonly slowReaderTimeoutMs: number;
  /** Whether there are `/openapi.json` and `/docs`. */
  readonly hasApiDocs: boolean;
  readonly enableTokenizerInfoEndpoint: boolean;
  /** null = plain HTTP. */
  readonly tls: TlsConfig | null;
}

export interface TlsConfig {
  readonly keyFile: string;
  readonly certFile: string;
  readonly caFile: string | null;
}

export interface CorsConfig {
  /** `*` is any, here and below. */
  readonly allowedOrigins: readonly string[];
  readonly allowedMethods: readonly string[];
  readonly allowedHeaders: readonly string[];
  readonly allowCredentials: boolean;
}

/** How much is taken at once, and how the server leaves. */
export interface AdmissionConfig {
  readonly maxConcurrency: number;
  /** null = a default that suits the engine. */
  readonly maxNumQueuedReqs: number | null;
  /** null = a default that suits the engine. */
  readonly maxNumQueuedTokens: number | null;
  readonly drainDelayMs: number;
}

export interface LoggingConfig {
  readonly format: 'auto' | 'text' | 'json';
  readonly level: 'critical' | 'error' | 'warning' | 'info' | 'debug' | 'trace';
  readonly enableLogRequests: boolean;
  readonly enableLogOutputs: boolean;
  readonly enableLogDeltas: boolean;
  readonly enableLogStats: boolean;
  /** Units: characters. null = no limit. */
  readonly maxLogLength: number | null;
  readonly logErrorStack: boolean;
}

/** How requests are understood and answered. */
export interface RequestsConfig {
  /** `auto` = the model's file, `vllm` = none, else a folder. */
  readonly generationConfig: string;
  /** As in `generation_config.json`; null = nothing. */
  readonly overrideGenerationConfig: Readonly<Record<string, unknown>> | null;
  readonly chatTemplateContentFormat: 'auto' | 'string' | 'openai';
  readonly trustRequestChatTemplate: boolean;
  readonly defaultChatTemplateKwargs: Readonly<Record<string, unknown>> | null;
  readonly excludeToolsWhenToolChoiceNone: boolean;
  readonly returnTokensAsTokenIds: boolean;
  readonly enablePromptTokensDetails: boolean;
  readonly enableForceIncludeUsage: boolean;
  readonly enablePerRequestMetrics: boolean;
  readonly maxNumSequences: number;
}

export interface SchedulingConfig {
  /** Tokens that a stream gathers before it sends them. */
  readonly streamInterval: number;
}

/** What native jobs take unless they say otherwise. */
export interface JobsConfig {
  /** Tokens in the first piece of a stream, in the largest, and the factor from each to the next. */
  readonly batchGrowth: { readonly max: number; readonly min: number; readonly growthFactor: number };
  readonly rawOpenaiOutput: boolean;
  readonly nativeOutput: 'batches' | 'openai';
  readonly maxConcurrency: number;
}

export interface HubConfig {
  readonly endpoint: string;
  readonly token: string | null;
  /** Root of the cache: `<cacheDir>/models--org--name/...`. */
  readonly cacheDir: string;
  readonly offline: boolean;
}

/** What the engine's process needs; plain data. */
export interface EngineConfig {
  readonly gpuBinding: 'auto' | 'bun-webgpu' | 'webgpu';
  /** Capabilities of the adapter: `auto` uses what is offered and computes right. */
  readonly gpuSubgroups: 'auto' | 'off';
  readonly gpuF16: 'auto' | 'off';
  readonly gpuMatrices: 'auto' | 'off';
  /** How weights are stored on the GPU. `auto` keeps the checkpoint's format. */
  readonly dtype: 'auto' | 'float32' | 'float16' | 'bfloat16';
  /** How keys and values are stored. `auto` suits the weights; `fp8` is `fp8_e4m3`. */
  readonly kvCacheDtype: 'auto' | 'float32' | 'float16' | 'bfloat16' | 'int8' | 'fp8' | 'fp8_e4m3' | 'fp8_e5m2';
  /** null = what the model declares. */
  /** Format that the layers' weights are rounded to at load; null = as `dtype` says. */
  readonly quantization: 'int8' | 'int4' | null;
  /** Multiply integer weights with activations that are rounded to bytes. */
  readonly intActivations: boolean;
  readonly maxModelLen: number | null;
  readonly blockSize: 8 | 16 | 32;
  /** Share of the memory budget that weights and KV cache may take, 0 to 1. */
  readonly gpuMemoryUtilization: number;
  /** The memory that the share is of; null = what the system reports. Units: GiB. */
  readonly gpuMemoryGib: number | null;
  readonly numGpuBlocksOverride: number | null;
  /** null = a default that suits the adapter. */
  readonly maxNumBatchedTokens: number | null;
  readonly maxNumSeqs: number;
  readonly enableChunkedPrefill: boolean;
  /** Sequences with a common beginning share its blocks. */
  readonly enablePrefixCaching: boolean;
  /** `priority`: lower numbers first; requests of one number, and all under `fcfs`, in the order in which they came. */
  readonly schedulingPolicy: 'fcfs' | 'priority';
  /** Steps that are submitted before the first is read; null = what suits the adapter. */
  readonly stepsInFlight: number | null;
  /** What happens to sequences that must make room: computed again, or saved in host memory while it has room. */
  readonly preemptionMode: 'recompute' | 'save';
  readonly swapSpaceGib: number;
  /** Prompts wait this many times the last prompt step beside sequences that run; 0 = not at all. */
  readonly schedulerDelayFactor: number;
  /** Seed for requests without one. */
  readonly seed: number;
  /** Where sizes of kernels that were measured on an adapter are kept; null = nothing is measured. */
  readonly tuningFolder: string | null;
  /** Bounds checks in shaders and validation in Dawn: on in tests, off in release. */
  readonly gpuRobustness: boolean;
}
