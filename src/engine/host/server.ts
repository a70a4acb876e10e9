/**
 * The engine's end of the connection: frames in, engine calls, frames out. Runs in the child process.
 *
 * Owns the child's life: load, serve, end. Knows the engine only as LocalEngine, and not how the process was started.
 * A fault of the GPU is not repaired here: the child says so and exits, and the supervisor starts a fresh process that makes
 * a new device and loads the weights again. Driver state, leaked memory and half-done work go away with the process.
 * Next: `engine-loop.ts` (when the engine is called), `child.ts` (the entry), `supervisor.ts` (the other end's policy).
 */
import type { Socket } from 'node:net';
import { EngineError } from '../types.ts';
import { FrameError } from './bytes.ts';
import { EngineIds } from './engine-ids.ts';
import { asEngineError, EngineLoop } from './engine-loop.ts';
import { FrameSocket } from './frame-socket.ts';
import { decodeHandle, decodeJson, ENGINE_HANDLE, encodeErrorFrame, encodeJsonFrame, FrameType } from './frames.ts';
import type { CreateLocalEngine, EngineInit, LocalEngine, StepOutput } from './local-engine-contract.ts';
import { encodePongFrame, encodeStepFrame, type HandledEvent } from './step-codec.ts';
import { decodeSubmit } from './submit-codec.ts';

/** With what code the child exits; the supervisor only logs it. */
export const EngineExit = {
  /** Asked to. */
  shutdown: 0,
  /** The device was lost or a step failed. */
  fault: 70,
  loadFailed: 71,
  /** The front sent bytes that are no frames. */
  protocol: 72,
  /** The front is gone. */
  orphaned: 73,
} as const;

export type EngineExit = (typeof EngineExit)[keyof typeof EngineExit];

/** Serves one front until it is over; the result is the code to exit with. Never rejects. */
export function serveEngine(socket: Socket, createEngine: CreateLocalEngine): Promise<EngineExit> {
  return new Promise((resolve) => {
    new EngineServer(socket, createEngine, resolve);
  });
}

class EngineServer {
  readonly #socket: FrameSocket;
  readonly #createEngine: CreateLocalEngine;
  readonly #onExit: (code: EngineExit) => void;
  #engine: LocalEngine | null = null;
  #loop: EngineLoop | null = null;
  #isInitialised = false;
  #isOver = false;
  readonly #ids = new EngineIds();

  constructor(socket: Socket, createEngine: CreateLocalEngine, onExit: (code: EngineExit) => void) {
    this.#createEngine = createEngine;
    this.#onExit = onExit;
    this.#socket = new FrameSocket(socket, {
      onFrame: (type, payload) => this.#receive(type, payload),
      onClose: (error) => this.#end(error instanceof FrameError ? EngineExit.protocol : EngineExit.orphaned),
    });
  }

  #receive(type: number, payload: Uint8Array): void {
    switch (type) {
      case FrameType.init:
        if (this.#isInitialised) throw new FrameError('a second init frame');
        this.#isInitialised = true;
        void this.#load(decodeJson(payload) as EngineInit);
        return;
      case FrameType.submit:
        this.#submit(payload);
        return;
      case FrameType.abort:
        this.#abort(decodeHandle(payload));
        return;
      case FrameType.ping:
        this.#socket.send(encodePongFrame(this.#engine?.stats() ?? null));
        return;
      case FrameType.shutdown:
        void this.#shutDown();
        return;
      default:
        throw new FrameError(`unknown frame type ${type}`);
    }
  }

  async #load(init: EngineInit): Promise<void> {
    try {
      this.#engine = await this.#createEngine(init, (progress) =>
        this.#socket.send(encodeJsonFrame(FrameType.progress, progress)),
      );
    } catch (error) {
      await this.#giveUp(asEngineError(error, 'load-failed'), EngineExit.loadFailed);
      return;
    }
    if (this.#isOver) return;
    this.#loop = new EngineLoop(this.#engine, {
      onStep: (output) => this.#sendStep(output),
      onFault: (error) => void this.#giveUp(error, EngineExit.fault),
      waitForReader: () => this.#socket.whenWritable(),
    });
    this.#socket.send(encodeJsonFrame(FrameType.ready, this.#engine.info));
  }

  #submit(payload: Uint8Array): void {
    const { handle, request } = decodeSubmit(payload);
    if (this.#loop === null) {
      this.#socket.send(encodeErrorFrame(handle, new EngineError('engine-dead', 'the engine is not ready')));
      return;
    }
    this.#loop.submit({ ...request, id: this.#ids.add(handle, request.id) });
  }

  #abort(handle: number): void {
    const engineId = this.#ids.remove(handle);
    if (engineId !== null) this.#loop?.abort(engineId);
  }

  #sendStep(output: StepOutput): void {
    const events: HandledEvent[] = [];
    for (const { requestId, event } of output.events) {
      const handle = this.#ids.handleOf(requestId);
      if (handle === null) continue;
      events.push({ handle, event });
      if (event.finishReason !== null) this.#ids.remove(handle);
    }
    if (events.length > 0 && this.#engine !== null) this.#socket.send(encodeStepFrame(this.#engine.stats(), events));
    for (const { requestId, error } of output.failed) {
      const handle = this.#ids.handleOf(requestId);
      if (handle === null) continue;
      this.#ids.remove(handle);
      this.#socket.send(encodeErrorFrame(handle, error));
    }
  }

  /** One frame about the engine ends all requests: the front knows which ones are open. */
  async #giveUp(error: EngineError, code: EngineExit): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.send(encodeErrorFrame(ENGINE_HANDLE, error));
    await this.#socket.flush();
    this.#onExit(code);
  }

  async #shutDown(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      await this.#loop?.stop();
      await this.#engine?.close();
    } catch (error) {
      console.error('closing the engine:', error); // the process goes away all the same
    }
    await this.#socket.flush();
    this.#onExit(EngineExit.shutdown);
  }

  #end(code: EngineExit): void {
    if (this.#isOver) return;
    this.#isOver = true;
    void this.#loop?.stop();
    this.#onExit(code);
  }
}
