/**
 * The engine as the front uses it: requests and streams on one side, frames to a supervised child process on the other.
 *
 * Owns the requests in progress. Knows neither HTTP nor GPU. When the process dies every open stream throws once, and new
 * requests are refused until a fresh process is ready.
 * Next: `supervisor.ts` (the process), `token-stream.ts` (the streams), `in-process.ts` (the same without a process).
 */
import { fileURLToPath } from 'node:url';
import {
  type Engine,
  EngineError,
  type EngineInfo,
  type EngineState,
  type EngineStats,
  type GenerateRequest,
  type TokenStream,
} from '../types.ts';
import { decodeError, encodeHandleFrame, FrameType } from './frames.ts';
import type { EngineInit, EngineProgress } from './local-engine-contract.ts';
import { emptyStats } from './status.ts';
import { decodeStep } from './step-codec.ts';
import { encodeSubmitFrame } from './submit-codec.ts';
import { defaultSupervisorLimits, Supervisor, type SupervisorLimits } from './supervisor.ts';
import { StreamTable } from './token-stream.ts';

export interface RemoteEngineOptions {
  readonly init: EngineInit;
  /** How to start the child; the default runs `child.ts` with this runtime. */
  readonly command?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly limits?: Partial<SupervisorLimits>;
  /** Each line that the child prints, and one per restart. The default writes them to stderr with a prefix. */
  readonly onLog?: (line: string) => void;
  readonly onProgress?: (progress: EngineProgress) => void;
}

/** Runs the engine in a child process and keeps it alive. Starts at construction; `ready()` tells when requests are taken. */
export class RemoteEngine implements Engine {
  readonly #supervisor: Supervisor;
  readonly #streams: StreamTable;
  #stats: EngineStats = emptyStats;

  constructor(options: RemoteEngineOptions) {
    this.#streams = new StreamTable((handle) => this.#supervisor.send(encodeHandleFrame(FrameType.abort, handle)));
    this.#supervisor = new Supervisor(
      {
        init: options.init,
        command: options.command ?? [process.execPath, fileURLToPath(new URL('./child.ts', import.meta.url))],
        env: { ...process.env, ...options.env },
        limits: { ...defaultSupervisorLimits, ...options.limits },
        onLog: options.onLog ?? ((line) => console.error(`[engine] ${line}`)),
        onProgress: options.onProgress ?? (() => {}),
      },
      {
        onFrame: (type, payload) => this.#receive(type, payload),
        onStats: (stats) => {
          this.#stats = stats;
        },
        onLost: (error) => {
          this.#stats = { ...this.#stats, numRunning: 0, numWaiting: 0, numFreeBlocks: this.#stats.numBlocks };
          this.#streams.failAll(error);
        },
      },
    );
  }

  get state(): EngineState {
    return this.#supervisor.status.state;
  }

  get info(): EngineInfo {
    return this.#supervisor.status.info;
  }

  /** The child's process id while there is one. */
  get pid(): number | null {
    return this.#supervisor.pid;
  }

  stats(): EngineStats {
    return this.#stats;
  }

  generate(request: GenerateRequest): TokenStream {
    this.#supervisor.status.assertReady();
    const { handle, stream } = this.#streams.open(request.id);
    try {
      this.#supervisor.send(encodeSubmitFrame(handle, request));
    } catch (error) {
      const refusal = new EngineError('invalid-request', error instanceof Error ? error.message : String(error));
      this.#streams.fail(handle, refusal);
      throw refusal;
    }
    return stream;
  }

  abort(requestId: string): void {
    this.#streams.abort(requestId);
  }

  ready(): Promise<EngineInfo> {
    return this.#supervisor.status.ready();
  }

  onStateChange(listener: (state: EngineState, error: EngineError | null) => void): () => void {
    return this.#supervisor.status.onStateChange(listener);
  }

  /** Open streams end with `abort`. Resolves when no process is left. */
  async close(): Promise<void> {
    this.#streams.abortAll();
    await this.#supervisor.close();
  }

  #receive(type: number, payload: Uint8Array): void {
    if (type === FrameType.step) {
      this.#stats = decodeStep(payload, (handle, event) => this.#streams.push(handle, event));
      return;
    }
    const { handle, error } = decodeError(payload);
    this.#streams.fail(handle, error);
  }
}
