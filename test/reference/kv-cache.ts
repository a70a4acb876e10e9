/** Float64 model of the cache's formats: what each code means, which code a number gets, and how rows lie in memory. */
import type { CacheFormat } from '../../src/engine/ops/kv-cache.ts';

/** Bits of exponent and mantissa, and the code of the largest finite number. e4m3 has no infinity and one NaN for each sign. */
const FP8 = {
  e4m3: { mantissa: 3, bias: 7, largest: 0x7e },
  e5m2: { mantissa: 2, bias: 15, largest: 0x7b },
} as const;

export type Fp8Format = keyof typeof FP8;

/** Value of each of the 256 codes. */
export function fp8Values(format: Fp8Format): Float64Array {
  const { mantissa, bias, largest } = FP8[format];
  return Float64Array.from({ length: 256 }, (_, code) => {
    const size = code & 0x7f;
    const sign = code & 0x80 ? -1 : 1;
    if (size > largest) return format === 'e5m2' && size === 0x7c ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    const exponent = size >> mantissa;
    const fraction = (size & ((1 << mantissa) - 1)) / 2 ** mantissa;
    return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
  });
}

const VALUES = { e4m3: fp8Values('e4m3'), e5m2: fp8Values('e5m2') };

/** Code of the nearest number, of two equally near ones the even code; too large is the largest, NaN is NaN. */
export function fp8Code(format: Fp8Format, x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x80 : 0;
  if (Number.isNaN(x)) return 0x7f;
  const size = Math.abs(x);
  const values = VALUES[format];
  let [low, high] = [0, FP8[format].largest as number];
  if (size >= (values[high] ?? 0)) return sign | high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((values[middle] ?? 0) <= size) low = middle;
    else high = middle;
  }
  // Differences of numbers this close to each other are exact.
  const [below, above] = [size - (values[low] ?? 0), (values[high] ?? 0) - size];
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high);
}

const scratch = new DataView(new ArrayBuffer(4));

function bf16Bits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  if (Number.isNaN(value)) return 0x7fc0;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Rows as the cache holds them, and the numbers they then stand for. */
export interface StoredRows {
  readonly bytes: Uint8Array;
  readonly held: Float64Array;
}

/** Stores rows of D elements, `blockSize` of them to a unit. Shapes: rows [units][blockSize][D]. */
export function storeRows(format: CacheFormat, rows: Float32Array, headDim: number, blockSize: number): StoredRows {
  const held = new Float64Array(rows.length);
  if (format === 'int8') return storeScaledRows(rows, headDim, blockSize);
  if (format === 'f32') {
    held.set(rows);
    return { bytes: new Uint8Array(rows.slice().buffer), held };
  }
  if (format === 'f16') {
    const halves = new Float16Array(rows);
    held.set(halves);
    return { bytes: new Uint8Array(halves.buffer), held };
  }
  if (format === 'bf16') {
    const halves = Uint16Array.from(rows, bf16Bits);
    halves.forEach((bits, i) => {
      scratch.setUint32(0, bits * 2 ** 16);
      held[i] = scratch.getFloat32(0);
    });
    return { bytes: new Uint8Array(halves.buffer), held };
  }
  const bytes = Uint8Array.from(rows, (value) => fp8Code(format, value));
  bytes.forEach((code, i) => {
    held[i] = VALUES[format][code] ?? Number.NaN;
  });
  return { bytes, held };
}

/** int8: q + 128 with q = round(x / scale), and behind a unit's rows their scales, f32. */
function storeScaledRows(rows: Float32Array, headDim: number, blockSize: number): StoredRows {
  const held = new Float64Array(rows.length);
  const unitBytes = blockSize * (headDim + 4);
  const bytes = new Uint8Array((rows.length / (blockSize * headDim)) * unitBytes);
  const view = new DataView(bytes.buffer);
  for (let row = 0; row * headDim < rows.length; row++) {
    const [unit, slot] = [Math.floor(row / blockSize), row % blockSize];
    const values = rows.subarray(row * headDim, (row + 1) * headDim);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = Math.fround(largest / 127);
    view.setFloat32(unit * unitBytes + blockSize * headDim + slot * 4, scale, true);
    values.forEach((value, d) => {
      const q = scale > 0 ? Math.max(-127, Math.min(127, Math.round(value / scale))) : 0;
      bytes[unit * unitBytes + slot * headDim + d] = q + 128;
      held[row * headDim + d] = Number.isNaN(scale) ? Number.NaN : q * scale;
    });
  }
  return { bytes, held };
}

/** The numbers that stored rows stand for: the inverse of {@link storeRows}. Shapes: [units][blockSize][D]. */
export function loadRows(format: CacheFormat, bytes: Uint8Array, headDim: number, blockSize: number): Float64Array {
  const copy = bytes.slice().buffer;
  if (format === 'f32') return Float64Array.from(new Float32Array(copy));
  if (format === 'f16') return Float64Array.from(new Float16Array(copy));
  if (format === 'bf16') {
    const words = Uint32Array.from(new Uint16Array(copy), (bits) => bits * 2 ** 16);
    return Float64Array.from(new Float32Array(words.buffer));
  }
  if (format !== 'int8') return Float64Array.from(bytes, (code) => VALUES[format][code] ?? Number.NaN);
  const view = new DataView(copy);
  const unitBytes = blockSize * (headDim + 4);
  return Float64Array.from({ length: (bytes.length / unitBytes) * blockSize * headDim }, (_, i) => {
    const row = Math.floor(i / headDim);
    const [unit, slot] = [Math.floor(row / blockSize), row % blockSize];
    const scale = view.getFloat32(unit * unitBytes + blockSize * headDim + slot * 4, true);
    return ((bytes[unit * unitBytes + slot * headDim + (i % headDim)] ?? 0) - 128) * scale;
  });
}
