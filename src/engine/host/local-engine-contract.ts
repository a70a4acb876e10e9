/**
 * What the host asks of an engine that runs in its own process, and what it tells it when it starts.
 *
 * Owns the border between the host (processes, frames, restarts) and the engine's core (scheduler, GPU). The core
 * implements {@link LocalEngine}; the host never looks behind it.
 * Next: `engine-loop.ts` (who calls it), `server.ts` (the child's side).
 */
import type { EngineConfig } from '../../config/server-config.ts';
import type { EngineError, EngineInfo, EngineStats, GenerateRequest, TokenEvent } from '../types.ts';

/** Everything an engine needs to start; travels as JSON. */
export interface EngineInit {
  /** A folder with the checkpoint's files. */
  readonly modelFolder: string;
  readonly config: EngineConfig;
  /** For tests and experiments; the host does not read it. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** How far loading is. */
export interface EngineProgress {
  /** 0 to 1; null when it cannot be told. */
  readonly fraction: number | null;
  readonly text: string;
}

/** What one step brought. Both lists may be empty. */
export interface StepOutput {
  /** In the order in which the tokens were made; several of one request may follow each other. */
  readonly events: readonly { readonly requestId: string; readonly event: TokenEvent }[];
  /** Requests that were given up without harm to the others; nothing follows about them. */
  readonly failed: readonly { readonly requestId: string; readonly error: EngineError }[];
}

/**
 * An engine as its own process sees it.
 *
 * The host calls `submit`, `abort` and `close` only between steps, never while a step is being awaited.
 */
export interface LocalEngine {
  readonly info: EngineInfo;
  /** True while a step could do something. When false, `step` is not called again before the next `submit` or `abort`. */
  readonly hasWork: boolean;
  /** Queues a request. Throws: EngineError, which ends this request alone. */
  submit(request: GenerateRequest): void;
  /** Forgets a request at once. Events about it that come later are dropped, so an `abort` event is not needed. Unknown ids are ignored. */
  abort(requestId: string): void;
  /**
   * Waits for one step and gives what it brought; the GPU may have been given the next ones already. May block the thread meanwhile.
   * Throws: whatever makes the engine unusable (lost device, GPU error): every running request fails, the process is replaced.
   */
  step(): Promise<StepOutput>;
  stats(): EngineStats;
  /** Frees everything. Nothing is called afterwards. */
  close(): Promise<void>;
}

/**
 * Makes the engine: what the module at `WGSLM_ENGINE_MODULE` exports as `createLocalEngine`.
 * Throws: EngineError; `load-failed` means that another attempt would fail as well.
 */
export type CreateLocalEngine = (
  init: EngineInit,
  onProgress: (progress: EngineProgress) => void,
) => Promise<LocalEngine>;
