/**
 * The loop that keeps a local engine busy: commands between steps, one step, one turn of the event loop.
 *
 * Owns the order of calls into a LocalEngine. Knows neither frames nor processes: the child's server and the in-process
 * engine both use it.
 * Next: `local-engine-contract.ts` (what is called), `server.ts`, `in-process.ts` (who listens).
 */
import { EngineError, type GenerateRequest } from '../types.ts';
import type { LocalEngine, StepOutput } from './local-engine-contract.ts';

export interface EngineLoopHandlers {
  readonly onStep: (output: StepOutput) => void;
  /** A step threw: the loop has ended and the engine is unusable. Called at most once. */
  readonly onFault: (error: EngineError) => void;
  /** A promise to wait for before the next step, when nobody takes the output; null to go on. */
  readonly waitForReader?: () => Promise<void> | null;
}

/** `error` as an EngineError; other kinds of errors get `code`. */
export function asEngineError(error: unknown, code: EngineError['code']): EngineError {
  if (error instanceof EngineError) return error;
  return new EngineError(code, error instanceof Error ? error.message : String(error));
}

/** Runs from construction until {@link stop}, a fault, or forever. */
export class EngineLoop {
  readonly #engine: LocalEngine;
  readonly #handlers: EngineLoopHandlers;
  #commands: (() => void)[] = [];
  #wake: (() => void) | null = null;
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor(engine: LocalEngine, handlers: EngineLoopHandlers) {
    this.#engine = engine;
    this.#handlers = handlers;
    this.#done = this.#run();
  }

  /** Submits before the next step. A request that the engine refuses comes back through `onStep` as failed. */
  submit(request: GenerateRequest): void {
    this.#enqueue(() => {
      try {
        this.#engine.submit(request);
      } catch (error) {
        const failure = { requestId: request.id, error: asEngineError(error, 'invalid-request') };
        this.#handlers.onStep({ events: [], failed: [failure] });
      }
    });
  }

  abort(requestId: string): void {
    this.#enqueue(() => this.#engine.abort(requestId));
  }

  /** Resolves when no step runs any more; none will start. */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#signal();
    return this.#done;
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isStopped) {
        for (const command of this.#commands.splice(0)) command();
        if (!this.#engine.hasWork) {
          if (this.#commands.length === 0) await this.#idle();
          continue;
        }
        const reader = this.#handlers.waitForReader?.() ?? null;
        if (reader !== null) {
          // Aborts that arrive meanwhile are taken at the next turn; they may end the need to wait.
          await Promise.race([reader, this.#idle()]);
          continue;
        }
        this.#handlers.onStep(await this.#engine.step());
        // A step may block the thread, so its promise can resolve without the event loop having read a socket.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    } catch (error) {
      this.#isStopped = true;
      if (!(error instanceof EngineError)) console.error(error); // a bug: its stack is wanted
      this.#handlers.onFault(asEngineError(error, 'gpu-error'));
    }
  }

  #idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #enqueue(command: () => void): void {
    this.#commands.push(command);
    this.#signal();
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
