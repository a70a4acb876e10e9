/**
 * Turns chunks of float weights from the checkpoint's format into the stored one.
 *
 * Owns rounding, clamping and the count of values that did not fit. Works on plain bytes, little-endian on both sides (as
 * every platform with a WebGPU driver is). Must not know tensors, files or the GPU.
 *
 * The GPU takes writes in multiples of four bytes, and stores 16-bit formats as pairs in `u32`. So cut a tensor into chunks
 * with an even number of elements; only its last chunk may be odd, and {@link paddedToWords} rounds that one up.
 * Next: `convert-tables.ts` (the 64K tables), `safetensors.ts` (where the bytes come from).
 */

import { type StoredFormat, storedBytes } from '../ops/tensor.ts';
import {
  bf16ToF16Table,
  f16ToBf16Table,
  f16ToF32Table,
  float32BitsToBf16,
  float32BitsToHalf,
  HALF_MAX,
} from './convert-tables.ts';
import type { FloatDtype } from './tensor-entry.ts';

const SOURCE_BYTES: Readonly<Record<FloatDtype, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Converts one chunk and returns how many values were beyond the target's range and were clamped. */
type Kernel = (source: Uint8Array, target: Uint8Array) => number;

/** One direction of conversion, with a running count of what did not fit. */
export class ChunkConverter {
  readonly from: FloatDtype;
  readonly to: StoredFormat;
  readonly sourceBytes: number;
  readonly storedBytes: number;
  /** Values beyond +-65504 (infinities too) that were clamped on the way to f16, over all chunks so far. */
  numOverflowed = 0;
  readonly #kernel: Kernel | null;

  constructor(from: FloatDtype, to: StoredFormat) {
    this.from = from;
    this.to = to;
    this.sourceBytes = SOURCE_BYTES[from];
    this.storedBytes = storedBytes(to);
    this.#kernel = kernelFor(from, to);
  }

  /** True when chunks come back as they went in, and `scratch` is not used. */
  get isIdentity(): boolean {
    return this.#kernel === null;
  }

  /**
   * Gives the chunk in the stored format: `source` itself where nothing changes, else a view of the start of `scratch`.
   *
   * Limits: `source` holds whole elements and starts at a multiple of their size in its buffer; `scratch` starts at a
   * multiple of four and has room for the result. The two must not overlap. Mutates: `scratch`. Throws: RangeError.
   */
  convert(source: Uint8Array, scratch: Uint8Array): Uint8Array {
    if (this.#kernel === null) return source;
    if (source.length % this.sourceBytes !== 0 || source.byteOffset % this.sourceBytes !== 0) {
      throw new RangeError(
        `A chunk of ${this.from} starts at byte ${source.byteOffset} and has ${source.length} bytes.`,
      );
    }
    const numBytes = (source.length / this.sourceBytes) * this.storedBytes;
    if (scratch.length < numBytes || scratch.byteOffset % 4 !== 0) {
      throw new RangeError(
        `${numBytes} bytes do not fit into a scratch of ${scratch.length} at ${scratch.byteOffset}.`,
      );
    }
    const target = scratch.subarray(0, numBytes);
    this.numOverflowed += this.#kernel(source, target);
    return target;
  }
}

/**
 * The chunk, longer by zeros up to a multiple of four bytes. Throws: RangeError when its buffer has no room for them.
 * Mutates: up to three bytes behind the chunk in its buffer.
 */
export function paddedToWords(chunk: Uint8Array): Uint8Array {
  const numBytes = Math.ceil(chunk.length / 4) * 4;
  if (numBytes === chunk.length) return chunk;
  const padded = new Uint8Array(chunk.buffer, chunk.byteOffset, numBytes);
  padded.fill(0, chunk.length);
  return padded;
}

function kernelFor(from: FloatDtype, to: StoredFormat): Kernel | null {
  switch (`${from}->${to}` as const) {
    case 'F32->f32':
    case 'BF16->bf16':
    case 'F16->f16':
      return null;
    case 'BF16->f32':
      return bf16ToF32;
    case 'F16->f32':
      return f16ToF32;
    case 'F32->bf16':
      return f32ToBf16;
    case 'F32->f16':
      return f32ToF16;
    case 'BF16->f16':
      return bf16ToF16;
    case 'F16->bf16':
      return f16ToBf16;
  }
}

function words16(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
}

function words32(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

// In the loops `?? 0` is for the type checker alone: the index is always inside.

/** Exact: bf16 is the upper half of f32. */
const bf16ToF32: Kernel = (source, target) => {
  const input = words16(source);
  const output = words32(target);
  for (let i = 0; i < output.length; i++) output[i] = (input[i] ?? 0) << 16;
  return 0;
};

const f16ToF32: Kernel = (source, target) => {
  const input = words16(source);
  const output = words32(target);
  const table = f16ToF32Table();
  for (let i = 0; i < output.length; i++) output[i] = table[input[i] ?? 0] ?? 0;
  return 0;
};

/** Rounds to nearest, ties to even; may reach infinity as IEEE rounding does. NaN stays NaN, made quiet. */
const f32ToBf16: Kernel = (source, target) => {
  const input = words32(source);
  const output = words16(target);
  for (let i = 0; i < output.length; i++) output[i] = float32BitsToBf16(input[i] ?? 0);
  return 0;
};

const f32ToF16: Kernel = (source, target) => {
  const input = words32(source);
  const output = words16(target);
  let numOverflowed = 0;
  for (let i = 0; i < output.length; i++) {
    const bits = input[i] ?? 0;
    const half = float32BitsToHalf(bits);
    output[i] = half;
    // Only a clamped value gives the largest half from 65520 up.
    if ((half & 0x7fff) === HALF_MAX && (bits & 0x7fffffff) >= 0x477ff000) numOverflowed++;
  }
  return numOverflowed;
};

const bf16ToF16: Kernel = (source, target) => {
  const input = words16(source);
  const output = words16(target);
  const table = bf16ToF16Table();
  let numOverflowed = 0;
  for (let i = 0; i < output.length; i++) {
    const half = table[input[i] ?? 0] ?? 0;
    output[i] = half;
    // No bf16 value rounds to the largest half by itself: 65280 and 65536 are neighbours.
    if ((half & 0x7fff) === HALF_MAX) numOverflowed++;
  }
  return numOverflowed;
};

const f16ToBf16: Kernel = (source, target) => {
  const input = words16(source);
  const output = words16(target);
  const table = f16ToBf16Table();
  for (let i = 0; i < output.length; i++) output[i] = table[input[i] ?? 0] ?? 0;
  return 0;
};
