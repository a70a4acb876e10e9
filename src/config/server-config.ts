/**
 * The shape of the frozen configuration that the rest of the server receives.
 *
 * Names carry their units. Values come from flags, environment and YAML through the table in `settings.ts`.
 */

export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  /** A local folder or a Hub id. */
  readonly model: string;
  /** True when no model was named and the bundled one is served. */
  readonly isBundledModel: boolean;
  readonly revision: string;
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
  readonly hub: HubConfig;
  readonly engine: EngineConfig;
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
  /** How weights are stored on the GPU. `auto` keeps the checkpoint's format. */
  readonly dtype: 'auto' | 'float32' | 'float16' | 'bfloat16';
  readonly kvCacheDtype: 'auto' | 'float32' | 'float16';
  /** null = what the model declares. */
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
  /** Seed for requests without one. */
  readonly seed: number;
  /** Bounds checks in shaders and validation in Dawn: on in tests, off in release. */
  readonly gpuRobustness: boolean;
}
