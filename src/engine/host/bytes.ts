/**
 * Little-endian reading and writing of the few field kinds that frames are made of.
 *
 * Owns bounds checks: a reader never reads past its payload, a writer never wraps a number silently. Knows no message.
 * Next: `frames.ts` (frame = length + type + payload), `submit-codec.ts`, `step-codec.ts`.
 */

/** Bytes that do not form what they should. The connection that carried them is of no more use. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** Collects fields into one growing buffer. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length: number;

  /** `reservedBytes` stay free at the start, for a header that is known only at the end. */
  constructor(reservedBytes: number, capacityBytes: number) {
    this.#bytes = new Uint8Array(Math.max(reservedBytes + capacityBytes, 64));
    this.#view = new DataView(this.#bytes.buffer);
    this.#length = reservedBytes;
  }

  u8(value: number): void {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
  }

  /** Throws: RangeError when the value is no unsigned 32-bit integer. */
  u32(value: number): void {
    if (value >>> 0 !== value) throw new RangeError(`${value} is not an unsigned 32-bit integer`);
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  /** Throws: RangeError when the value is no signed 32-bit integer. */
  i32(value: number): void {
    if ((value | 0) !== value) throw new RangeError(`${value} is not a signed 32-bit integer`);
    const at = this.#grow(4);
    this.#view.setInt32(at, value, true);
  }

  f64(value: number): void {
    const at = this.#grow(8);
    this.#view.setFloat64(at, value, true);
  }

  /** A count, then the values. Throws: RangeError as {@link u32}. */
  u32Array(values: ArrayLike<number>): void {
    this.u32(values.length);
    const at = this.#grow(values.length * 4);
    for (let index = 0; index < values.length; index++) {
      const value = values[index] ?? Number.NaN;
      if (value >>> 0 !== value) throw new RangeError(`${value} is not an unsigned 32-bit integer`);
      this.#view.setUint32(at + index * 4, value, true);
    }
  }

  /** A count of bytes, then UTF-8. */
  text(value: string): void {
    this.raw(new TextEncoder().encode(value), true);
  }

  raw(bytes: Uint8Array, withLength = false): void {
    if (withLength) this.u32(bytes.length);
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Everything written so far, reserved bytes included. Shares memory with the writer. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(byteCount: number): number {
    const at = this.#length;
    this.#length += byteCount;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Takes fields from a payload in the order in which they were written. Every method throws FrameError at the end of the bytes. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#skip(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#skip(8), true);
  }

  /** A copy, so that it stays valid and aligned when the payload's memory goes away. */
  u32Array(): Uint32Array {
    const length = this.u32();
    const at = this.#skip(length * 4);
    const values = new Uint32Array(length);
    for (let index = 0; index < length; index++) values[index] = this.#view.getUint32(at + index * 4, true);
    return values;
  }

  text(): string {
    const length = this.u32();
    const at = this.#skip(length);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  /** Throws: FrameError when bytes are left over. */
  assertEnd(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) throw new FrameError(`${left} bytes are left over in a frame`);
  }

  #skip(byteCount: number): number {
    const at = this.#at;
    if (at + byteCount > this.#bytes.length)
      throw new FrameError(`a frame ends ${at + byteCount - this.#bytes.length} bytes early`);
    this.#at = at + byteCount;
    return at;
  }
}
