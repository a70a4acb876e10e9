/**
 * Frames on a stream socket, for both sides.
 *
 * Owns parsing what arrives, the end of the connection, and the measure of what the peer has not taken yet. Knows no message.
 * Next: `engine-process.ts` (the front's end), `server.ts` (the engine's end).
 */
import type { Socket } from 'node:net';
import { FrameParser } from './frames.ts';

export interface FrameSocketHandlers {
  /** `payload` is valid during the call only. What it throws closes the connection with that error. */
  readonly onFrame: (type: number, payload: Uint8Array) => void;
  /** Called once; `error` is null when the peer simply went away. */
  readonly onClose: (error: Error | null) => void;
}

export class FrameSocket {
  readonly #socket: Socket;
  readonly #handlers: FrameSocketHandlers;
  readonly #parser: FrameParser;
  #isClosed = false;
  #drained: { promise: Promise<void>; resolve: () => void } | null = null;

  /** Takes the socket over. `highWaterBytes`: above this much unsent data {@link whenWritable} makes the caller wait. */
  constructor(
    socket: Socket,
    handlers: FrameSocketHandlers,
    readonly highWaterBytes = 4 * 1024 * 1024,
  ) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#parser = new FrameParser(handlers.onFrame);
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    socket.on('drain', () => this.#release());
    socket.once('error', (error) => this.#close(error));
    socket.once('end', () => this.#close(null)); // neither side half-closes
    socket.once('close', () => this.#close(null));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Queues a frame; never blocks and never throws. After the end it is dropped. The bytes must not change afterwards. */
  send(frame: Uint8Array): void {
    if (!this.#isClosed) this.#socket.write(frame);
  }

  /** null when the peer keeps up; else a promise that resolves when it has taken everything or is gone. */
  whenWritable(): Promise<void> | null {
    if (this.#isClosed || this.#socket.writableLength < this.highWaterBytes) return null;
    this.#drained ??= Promise.withResolvers<void>();
    return this.#drained.promise;
  }

  /** Resolves when everything queued was handed to the system, or the connection is gone. */
  flush(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.once('close', () => resolve());
      this.#socket.end(() => resolve());
    });
  }

  /** Ends the connection at once, as if the peer had gone. */
  destroy(error: Error | null = null): void {
    this.#close(error);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#isClosed) return;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#close(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #release(): void {
    this.#drained?.resolve();
    this.#drained = null;
  }

  #close(error: Error | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.destroy();
    this.#release();
    this.#handlers.onClose(error);
  }
}
