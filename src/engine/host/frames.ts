/**
 * The frame: u32 length of the payload (little-endian), u8 type, payload.
 *
 * Owns the list of frame types, the incremental parser and the small frames. Knows neither sockets nor processes.
 * Requests are named by a u32 handle that the front assigns; handle 0 stands for the engine itself.
 * Next: `submit-codec.ts` and `step-codec.ts` (the two large payloads), `frame-socket.ts` (frames on a socket).
 */
import { EngineError, type EngineErrorCode } from '../types.ts';
import { ByteReader, ByteWriter, FrameError } from './bytes.ts';

export const FRAME_HEADER_BYTES = 5;

/** A prompt of 8 million tokens fits. A larger length is taken for garbage before memory is spent on it. */
export const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

/** Front to engine below 16, engine to front from 16 on. */
export const FrameType = {
  /** JSON of EngineInit; the first frame, once. */
  init: 1,
  /** One request, see `submit-codec.ts`. */
  submit: 2,
  /** u32 handle. The engine sends nothing more about it, at most events that were on their way. */
  abort: 3,
  /** Empty; answered with a pong at the next turn of the engine's loop. */
  ping: 4,
  /** Empty; the engine frees everything and exits with code 0. */
  shutdown: 5,
  /** JSON of EngineInfo; from now on requests are taken. */
  ready: 16,
  /** JSON of EngineProgress. */
  progress: 17,
  /** All events of one step and the stats after it, see `step-codec.ts`. */
  step: 18,
  /** u32 handle, u8 code, UTF-8 message. Handle 0: the engine gives up and will exit. */
  error: 19,
  /** Stats, or nothing while loading. */
  pong: 20,
} as const;

export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** Handle of an error frame that is about the engine and not about a request. */
export const ENGINE_HANDLE = 0;

/** Order is the wire format: append only. */
const errorCodes: readonly EngineErrorCode[] = [
  'engine-dead',
  'device-lost',
  'gpu-error',
  'overloaded',
  'draining',
  'invalid-request',
  'load-failed',
];

/** A writer that leaves room for the header; hand it to {@link finishFrame}. */
export function beginFrame(capacityBytes: number): ByteWriter {
  return new ByteWriter(FRAME_HEADER_BYTES, capacityBytes);
}

/**
 * The bytes of a frame whose payload was written to `writer`.
 * Throws: RangeError when the payload is over {@link MAX_PAYLOAD_BYTES}.
 */
export function finishFrame(type: FrameType, writer: ByteWriter): Uint8Array<ArrayBuffer> {
  const bytes = writer.take();
  const payloadBytes = bytes.length - FRAME_HEADER_BYTES;
  if (payloadBytes > MAX_PAYLOAD_BYTES)
    throw new RangeError(`a frame of ${payloadBytes} bytes is over the limit of ${MAX_PAYLOAD_BYTES}`);
  new DataView(bytes.buffer).setUint32(0, payloadBytes, true);
  bytes[4] = type;
  return bytes;
}

export function encodeEmptyFrame(type: FrameType): Uint8Array<ArrayBuffer> {
  return finishFrame(type, beginFrame(0));
}

export function encodeJsonFrame(type: FrameType, value: unknown): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(value));
  const writer = beginFrame(json.length);
  writer.raw(json);
  return finishFrame(type, writer);
}

/** Throws: FrameError when the payload is no JSON. The caller knows the shape: both ends are one program. */
export function decodeJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)) as unknown;
  } catch (error) {
    throw new FrameError(`a frame holds no JSON: ${String(error)}`);
  }
}

export function encodeHandleFrame(type: FrameType, handle: number): Uint8Array<ArrayBuffer> {
  const writer = beginFrame(4);
  writer.u32(handle);
  return finishFrame(type, writer);
}

/** Throws: FrameError. */
export function decodeHandle(payload: Uint8Array): number {
  const reader = new ByteReader(payload);
  const handle = reader.u32();
  reader.assertEnd();
  return handle;
}

export function encodeErrorFrame(handle: number, error: EngineError): Uint8Array<ArrayBuffer> {
  const writer = beginFrame(16 + error.message.length);
  writer.u32(handle);
  writer.u8(errorCodes.indexOf(error.code));
  writer.text(error.message);
  return finishFrame(FrameType.error, writer);
}

/** Throws: FrameError. */
export function decodeError(payload: Uint8Array): { handle: number; error: EngineError } {
  const reader = new ByteReader(payload);
  const handle = reader.u32();
  const code = errorCodes[reader.u8()];
  if (code === undefined) throw new FrameError('an error frame has an unknown code');
  const message = reader.text();
  reader.assertEnd();
  return { handle, error: new EngineError(code, message) };
}

/**
 * Cuts a byte stream into frames, whatever the chunks.
 *
 * A payload that lies whole in a chunk is given as a view of it: it is valid during the call only. One that is spread over
 * chunks is copied once.
 */
export class FrameParser {
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  readonly #headerView = new DataView(this.#header.buffer);
  #headerLength = 0;
  #payload: Uint8Array | null = null;
  #payloadLength = 0;

  constructor(
    readonly onFrame: (type: number, payload: Uint8Array) => void,
    readonly maxPayloadBytes = MAX_PAYLOAD_BYTES,
  ) {}

  /** Throws: FrameError when a length is over the limit; what `onFrame` throws. The parser is of no use after that. */
  push(chunk: Uint8Array): void {
    let at = 0;
    for (;;) {
      if (this.#headerLength < FRAME_HEADER_BYTES) {
        const taken = Math.min(FRAME_HEADER_BYTES - this.#headerLength, chunk.length - at);
        this.#header.set(chunk.subarray(at, at + taken), this.#headerLength);
        this.#headerLength += taken;
        at += taken;
        if (this.#headerLength < FRAME_HEADER_BYTES) return;
      }
      const size = this.#headerView.getUint32(0, true);
      if (size > this.maxPayloadBytes) {
        throw new FrameError(`a frame of ${size} bytes is over the limit of ${this.maxPayloadBytes}`);
      }
      if (this.#payload === null && chunk.length - at >= size) {
        this.#emit(chunk.subarray(at, at + size));
        at += size;
        continue;
      }
      if (at === chunk.length) return;
      this.#payload ??= new Uint8Array(size);
      const taken = Math.min(size - this.#payloadLength, chunk.length - at);
      this.#payload.set(chunk.subarray(at, at + taken), this.#payloadLength);
      this.#payloadLength += taken;
      at += taken;
      if (this.#payloadLength < size) return;
      this.#emit(this.#payload);
    }
  }

  #emit(payload: Uint8Array): void {
    const type = this.#header[4] ?? 0;
    this.#headerLength = 0;
    this.#payload = null;
    this.#payloadLength = 0;
    this.onFrame(type, payload);
  }
}
