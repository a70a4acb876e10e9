/**
 * The engine in this very process: same streams and same loop as behind a socket, no frames, no restart.
 *
 * For unit tests and tools. A fault ends it for good, since nothing here can replace a process.
 * Next: `client.ts` (the server's choice), `engine-loop.ts`, `token-stream.ts`.
 */
import type {
  Engine,
  EngineError,
  EngineInfo,
  EngineState,
  EngineStats,
  GenerateRequest,
  TokenStream,
} from '../types.ts';
import { EngineIds } from './engine-ids.ts';
import { asEngineError, EngineLoop } from './engine-loop.ts';
import type { LocalEngine, StepOutput } from './local-engine-contract.ts';
import { EngineStatus, emptyStats } from './status.ts';
import { StreamTable } from './token-stream.ts';

/** Serves a LocalEngine without a process. Starts making it at construction. */
export class InProcessEngine implements Engine {
  readonly #status = new EngineStatus();
  readonly #streams: StreamTable;
  readonly #ids = new EngineIds();
  readonly #made: Promise<void>;
  #engine: LocalEngine | null = null;
  #loop: EngineLoop | null = null;

  constructor(makeEngine: () => Promise<LocalEngine>) {
    this.#streams = new StreamTable((handle) => {
      const engineId = this.#ids.remove(handle);
      if (engineId !== null) this.#loop?.abort(engineId);
    });
    this.#made = this.#make(makeEngine);
  }

  get state(): EngineState {
    return this.#status.state;
  }

  get info(): EngineInfo {
    return this.#status.info;
  }

  stats(): EngineStats {
    return this.#engine?.stats() ?? emptyStats;
  }

  generate(request: GenerateRequest): TokenStream {
    this.#status.assertReady();
    const { handle, stream } = this.#streams.open(request.id);
    this.#loop?.submit({ ...request, id: this.#ids.add(handle, request.id) });
    return stream;
  }

  abort(requestId: string): void {
    this.#streams.abort(requestId);
  }

  ready(): Promise<EngineInfo> {
    return this.#status.ready();
  }

  onStateChange(listener: (state: EngineState, error: EngineError | null) => void): () => void {
    return this.#status.onStateChange(listener);
  }

  async close(): Promise<void> {
    this.#status.set('closed', null);
    this.#streams.abortAll();
    await this.#made;
    await this.#loop?.stop();
    const engine = this.#engine;
    this.#engine = null;
    await engine?.close();
  }

  async #make(makeEngine: () => Promise<LocalEngine>): Promise<void> {
    try {
      const engine = await makeEngine();
      this.#engine = engine;
      this.#loop = new EngineLoop(engine, {
        onStep: (output) => this.#deliver(output),
        onFault: (error) => {
          this.#streams.failAll(error);
          this.#status.set('failed', error);
        },
      });
      this.#status.setReady(engine.info);
    } catch (error) {
      this.#status.set('failed', asEngineError(error, 'load-failed'));
    }
  }

  #deliver(output: StepOutput): void {
    for (const { requestId, event } of output.events) {
      const handle = this.#ids.handleOf(requestId);
      if (handle === null) continue;
      this.#streams.push(handle, event);
      if (event.finishReason !== null) this.#ids.remove(handle);
    }
    for (const { requestId, error } of output.failed) {
      const handle = this.#ids.handleOf(requestId);
      if (handle === null) continue;
      this.#ids.remove(handle);
      this.#streams.fail(handle, error);
    }
  }
}
