/**
 * An engine's state as the front sees it: who may ask, who is told, who waits.
 *
 * Owns the rules of `Engine.state`, `info`, `ready()` and `onStateChange`. Knows nothing of why a state changes.
 * Next: `client.ts` and `in-process.ts` (who change it).
 */
import { EngineError, type EngineInfo, type EngineState, type EngineStats } from '../types.ts';

export const emptyStats: EngineStats = {
  numRunning: 0,
  numWaiting: 0,
  numBlocks: 0,
  numFreeBlocks: 0,
  numPreemptions: 0,
  numSteps: 0,
  promptTokens: 0,
  generationTokens: 0,
  prefixQueryTokens: 0,
  prefixHitTokens: 0,
  hostStepMs: 0,
};

type StateListener = (state: EngineState, error: EngineError | null) => void;

/** State, its listeners, and the promise of readiness. `failed` and `closed` are final, except that `failed` may close. */
export class EngineStatus {
  #state: EngineState = 'loading';
  #error: EngineError | null = null;
  #info: EngineInfo | null = null;
  readonly #listeners = new Set<StateListener>();
  readonly #waiting: { resolve: (info: EngineInfo) => void; reject: (error: EngineError) => void }[] = [];

  get state(): EngineState {
    return this.#state;
  }

  /** Stays after the first readiness, also while the engine restarts. Throws: EngineError before it. */
  get info(): EngineInfo {
    if (this.#info === null) throw this.unavailable();
    return this.#info;
  }

  /** Mutates: state; tells listeners and whoever waits. No effect when nothing changes or the state is final. */
  set(state: Exclude<EngineState, 'ready'>, error: EngineError | null): void {
    if (this.#state === state || this.#state === 'closed' || (this.#state === 'failed' && state !== 'closed')) return;
    this.#change(state, error);
    if (state === 'failed' || state === 'closed') {
      for (const { reject } of this.#waiting.splice(0)) reject(this.#finalError());
    }
  }

  setReady(info: EngineInfo): void {
    if (this.#state === 'closed' || this.#state === 'failed') return;
    this.#info = info;
    this.#change('ready', null);
    for (const { resolve } of this.#waiting.splice(0)) resolve(info);
  }

  ready(): Promise<EngineInfo> {
    if (this.#state === 'ready') return Promise.resolve(this.info);
    if (this.#state === 'failed' || this.#state === 'closed') return Promise.reject(this.#finalError());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  onStateChange(listener: StateListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Throws: EngineError unless requests can be taken. */
  assertReady(): void {
    if (this.#state !== 'ready') throw this.unavailable();
  }

  /** Why no request can be taken now. The code is always one that HTTP answers with 503. */
  unavailable(): EngineError {
    if (this.#state === 'closed') return new EngineError('draining', 'the engine is closed');
    if (this.#state === 'failed')
      return new EngineError('engine-dead', `the engine failed: ${this.#error?.message ?? ''}`);
    if (this.#state === 'restarting') return new EngineError('engine-dead', 'the engine is restarting');
    return new EngineError('engine-dead', 'the engine is still loading');
  }

  /** What `ready()` rejects with: the cause itself, so that the entry can print it. */
  #finalError(): EngineError {
    return this.#state === 'failed' && this.#error !== null ? this.#error : this.unavailable();
  }

  #change(state: EngineState, error: EngineError | null): void {
    this.#state = state;
    this.#error = error;
    for (const listener of [...this.#listeners]) listener(state, error);
  }
}
