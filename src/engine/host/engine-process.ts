/**
 * One life of the engine's process: spawn, connect, frames, heartbeat, end.
 *
 * Owns everything that is about one process. Never restarts it and knows no requests: `supervisor.ts` decides what follows
 * an end, `client.ts` what the frames mean.
 */
import { type ChildProcessHandle, spawnChild } from '../../runtime/spawn.ts';
import { listenForOnePeer, type SinglePeerListener } from '../../runtime/unix-socket.ts';
import { FrameSocket } from './frame-socket.ts';
import { encodeEmptyFrame, encodeJsonFrame, FrameType } from './frames.ts';
import type { EngineInit } from './local-engine-contract.ts';

/** How many of the child's last lines an error message may quote. */
const MAX_QUOTED_LINES = 8;
/** How long the end of the process and the end of its connection may lie apart. */
const CLOSE_GRACE_MS = 1000;

export interface EngineProcessOptions {
  /** The program and its arguments; the socket's path is appended. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly init: EngineInit;
  /** How often a ping is sent and silence is counted. */
  readonly heartbeatIntervalMs: number;
  /** Silence allowed before {@link EngineProcess.silenceLimitMs} is changed. */
  readonly silenceLimitMs: number;
}

export interface EngineProcessHandlers {
  readonly onFrame: (type: number, payload: Uint8Array) => void;
  readonly onLog: (line: string) => void;
  /** Called once, as soon as it is known that no frame will come any more. The process may still be dying. */
  readonly onDown: (reason: string) => void;
  /** Called once, after `onDown`, when the process is gone and its last lines were delivered. */
  readonly onEnded: (reason: string, lastLines: readonly string[]) => void;
}

export class EngineProcess {
  /** No frame for this long: the process is taken for hung and killed. */
  silenceLimitMs: number;
  readonly #options: EngineProcessOptions;
  readonly #handlers: EngineProcessHandlers;
  readonly #lastLines: string[] = [];
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #child: ChildProcessHandle | null = null;
  #listener: SinglePeerListener | null = null;
  #socket: FrameSocket | null = null;
  #silentTicks = 0;
  #isKilled = false;
  #downReason: string | null = null;
  readonly ended: Promise<void>;

  constructor(options: EngineProcessOptions, handlers: EngineProcessHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.silenceLimitMs = options.silenceLimitMs;
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatIntervalMs);
    this.ended = this.#live();
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  send(frame: Uint8Array): void {
    this.#socket?.send(frame);
  }

  /** SIGKILL, since a hung process answers nothing milder. May be called at any time. */
  kill(reason: string): void {
    this.#isKilled = true;
    this.#down(reason);
    this.#child?.kill('SIGKILL');
  }

  async #live(): Promise<void> {
    let end: string;
    try {
      this.#listener = await listenForOnePeer();
      end = this.#isKilled ? 'was not started' : await this.#runChild(this.#listener);
    } catch (error) {
      end = `could not be started: ${String(error)}`;
    } finally {
      clearInterval(this.#heartbeat);
      this.#listener?.close();
    }
    this.#down(end);
    this.#handlers.onEnded(this.#downReason === end ? end : `${this.#downReason} (${end})`, this.#lastLines);
  }

  async #runChild(listener: SinglePeerListener): Promise<string> {
    const { command, env } = this.#options;
    const child = spawnChild([...command, listener.path], { env, onLine: (line) => this.#log(line) });
    this.#child = child;
    const connectionClosed = listener.connection.then(
      (socket) =>
        new Promise<void>((resolve) => {
          this.#socket = new FrameSocket(socket, {
            onFrame: (type, payload) => this.#receive(type, payload),
            onClose: (error) => {
              resolve();
              if (error !== null) this.kill(`broke its connection: ${error.message}`);
              else this.#awaitExit(child);
            },
          });
          this.#socket.send(encodeJsonFrame(FrameType.init, this.#options.init));
        }),
      () => {},
    );
    const end = await child.ended;
    listener.close();
    const grace = Promise.withResolvers<void>();
    const timer = setTimeout(grace.resolve, CLOSE_GRACE_MS);
    await Promise.race([connectionClosed, grace.promise]); // frames that it sent last are still read
    clearTimeout(timer);
    this.#socket?.destroy();
    if (end.error !== null) return `could not be started: ${end.error.message}`;
    return end.signal !== null ? `was ended by ${end.signal}` : `exited with code ${end.code}`;
  }

  /** Its requests are lost at once; it may still exit by itself, so that its own exit code is seen. */
  #awaitExit(child: ChildProcessHandle): void {
    this.#down('is gone');
    const timer = setTimeout(() => child.kill('SIGKILL'), CLOSE_GRACE_MS);
    void child.ended.then(() => clearTimeout(timer));
  }

  #receive(type: number, payload: Uint8Array): void {
    if (this.#downReason !== null) return;
    this.#silentTicks = 0;
    this.#handlers.onFrame(type, payload);
  }

  /** Counts ticks and not time: when this thread was blocked or the machine asleep, the child is not to blame. */
  #beat(): void {
    this.#silentTicks++;
    const silentMs = (this.#silentTicks - 1) * this.#options.heartbeatIntervalMs;
    if (silentMs >= this.silenceLimitMs) this.kill(`gave no sign of life for ${silentMs} ms`);
    else this.#socket?.send(encodeEmptyFrame(FrameType.ping));
  }

  #log(line: string): void {
    this.#lastLines.push(line);
    if (this.#lastLines.length > MAX_QUOTED_LINES) this.#lastLines.shift();
    this.#handlers.onLog(line);
  }

  #down(reason: string): void {
    if (this.#downReason !== null) return;
    this.#downReason = reason;
    this.#handlers.onDown(reason);
  }
}
