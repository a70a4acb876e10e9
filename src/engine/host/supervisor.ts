/**
 * Keeps an engine process alive: starts it, judges its ends, starts it again.
 *
 * Owns the policy (back-off, when to give up, how long silence may last) and the engine's state. Knows no requests.
 * Before the first readiness a few failures are final, since they would repeat; afterwards it tries for ever.
 * Next: `engine-process.ts` (one life), `client.ts` (requests).
 */
import { EngineError, type EngineInfo, type EngineStats } from '../types.ts';
import { FrameError } from './bytes.ts';
import { EngineProcess } from './engine-process.ts';
import { decodeError, decodeJson, ENGINE_HANDLE, encodeEmptyFrame, FrameType } from './frames.ts';
import type { EngineInit, EngineProgress } from './local-engine-contract.ts';
import { EngineStatus } from './status.ts';
import { decodePong } from './step-codec.ts';

/** Times and counts of the policy. Units: milliseconds. */
export interface SupervisorLimits {
  readonly heartbeatIntervalMs: number;
  /** Silence of a ready engine. One step may block the child for seconds on a software GPU. */
  readonly heartbeatTimeoutMs: number;
  /** Silence of an engine that loads: compiling pipelines or reading a slow disk may block it for long. */
  readonly loadTimeoutMs: number;
  readonly backOffInitialMs: number;
  readonly backOffMaxMs: number;
  /** An engine that was ready for this long starts with the shortest back-off again. */
  readonly healthyAfterMs: number;
  /** So many failures before the first readiness are final. */
  readonly maxLoadFailures: number;
  /** How long `close` waits for an orderly end before it kills. */
  readonly closeTimeoutMs: number;
}

export const defaultSupervisorLimits: SupervisorLimits = {
  heartbeatIntervalMs: 1000,
  heartbeatTimeoutMs: 60_000,
  loadTimeoutMs: 600_000,
  backOffInitialMs: 100,
  backOffMaxMs: 10_000,
  healthyAfterMs: 60_000,
  maxLoadFailures: 3,
  closeTimeoutMs: 5000,
};

export interface SupervisorOptions {
  readonly init: EngineInit;
  /** The program of the child and its arguments, before the socket's path. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly limits: SupervisorLimits;
  /** A line that the child printed, or one about its life. */
  readonly onLog: (line: string) => void;
  readonly onProgress: (progress: EngineProgress) => void;
}

export interface SupervisorHandlers {
  /** Frames about requests: `step`, and `error` with a request's handle. */
  readonly onFrame: (type: number, payload: Uint8Array) => void;
  readonly onStats: (stats: EngineStats) => void;
  /** What was in progress is lost. Called before the state changes; once more when a fault is followed by the exit. */
  readonly onLost: (error: EngineError) => void;
}

export class Supervisor {
  readonly status = new EngineStatus();
  readonly #options: SupervisorOptions;
  readonly #handlers: SupervisorHandlers;
  #process: EngineProcess | null = null;
  #restartTimer: ReturnType<typeof setTimeout> | null = null;
  /** Ends since the last healthy life. */
  #numFailures = 0;
  #readySinceMs: number | null = null;
  #hasBeenReady = false;
  /** What the child said before it went. */
  #fault: EngineError | null = null;
  #isClosing = false;
  #closed: Promise<void> | null = null;

  constructor(options: SupervisorOptions, handlers: SupervisorHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#start();
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  send(frame: Uint8Array): void {
    this.#process?.send(frame);
  }

  /** Resolves when no process is left. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const wasReady = this.status.state === 'ready';
    this.#isClosing = true;
    this.status.set('closed', null);
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer);
    const process = this.#process;
    if (process === null) return;
    if (!wasReady) process.kill('was stopped while it was not ready');
    process.send(encodeEmptyFrame(FrameType.shutdown));
    const timer = setTimeout(() => process.kill('did not stop in time'), this.#options.limits.closeTimeoutMs);
    await process.ended;
    clearTimeout(timer);
  }

  #start(): void {
    const { command, env, init, limits } = this.#options;
    this.#fault = null;
    this.#readySinceMs = null;
    this.#process = new EngineProcess(
      { command, env, init, heartbeatIntervalMs: limits.heartbeatIntervalMs, silenceLimitMs: limits.loadTimeoutMs },
      {
        onFrame: (type, payload) => this.#receive(type, payload),
        onLog: this.#options.onLog,
        onDown: (reason) => this.#down(reason),
        onEnded: (reason, lastLines) => this.#ended(reason, lastLines),
      },
    );
  }

  #receive(type: number, payload: Uint8Array): void {
    switch (type) {
      case FrameType.step:
        this.#handlers.onFrame(type, payload);
        return;
      case FrameType.pong: {
        const stats = decodePong(payload);
        if (stats !== null) this.#handlers.onStats(stats);
        return;
      }
      case FrameType.progress:
        this.#options.onProgress(decodeJson(payload) as EngineProgress);
        return;
      case FrameType.ready:
        this.#becomeReady(decodeJson(payload) as EngineInfo);
        return;
      case FrameType.error: {
        const { handle, error } = decodeError(payload);
        if (handle === ENGINE_HANDLE) this.#giveUpLife(error);
        else this.#handlers.onFrame(type, payload);
        return;
      }
      default:
        throw new FrameError(`unknown frame type ${type}`);
    }
  }

  #becomeReady(info: EngineInfo): void {
    this.#hasBeenReady = true;
    this.#readySinceMs = performance.now();
    if (this.#process !== null) this.#process.silenceLimitMs = this.#options.limits.heartbeatTimeoutMs;
    this.status.setReady(info);
  }

  /** The child has told why it will exit: its requests need not wait for that. */
  #giveUpLife(error: EngineError): void {
    this.#fault = error;
    this.#lose(error);
  }

  #down(reason: string): void {
    this.#lose(this.#fault ?? new EngineError('engine-dead', `the engine's process ${reason}`));
  }

  #lose(error: EngineError): void {
    this.#handlers.onLost(error);
    if (this.#hasBeenReady && !this.#isClosing) this.status.set('restarting', error);
  }

  #ended(reason: string, lastLines: readonly string[]): void {
    this.#process = null;
    if (this.#isClosing) return;
    const { limits, onLog } = this.#options;
    const wasHealthy = this.#readySinceMs !== null && performance.now() - this.#readySinceMs >= limits.healthyAfterMs;
    this.#numFailures = wasHealthy ? 1 : this.#numFailures + 1;
    const isFinal =
      !this.#hasBeenReady && (this.#fault?.code === 'load-failed' || this.#numFailures >= limits.maxLoadFailures);
    if (isFinal) {
      const quoted = lastLines.length === 0 ? '' : `; its last lines:\n${lastLines.join('\n')}`;
      const message = this.#fault?.message ?? `the engine's process ${reason}${quoted}`;
      this.status.set('failed', new EngineError('load-failed', message));
      return;
    }
    const delayMs = Math.min(limits.backOffMaxMs, limits.backOffInitialMs * 2 ** (this.#numFailures - 1));
    const cause = this.#fault === null ? '' : `: ${this.#fault.message}`;
    onLog(`the engine's process ${reason}${cause}; it starts again in ${delayMs} ms`);
    this.#restartTimer = setTimeout(() => this.#start(), delayMs);
  }
}
