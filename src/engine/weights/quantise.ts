/**
 * Packs floats into the engine's own integer formats: round to nearest, one scale for each group of a row.
 *
 * Owns the packed layout as bytes, which loaders of checkpoints that come quantised fill as well. Works on plain arrays; must not
 * know tensors, files or the GPU. Next: `loader.ts` (who packs and uploads), `ops/tensor.ts` (the formats).
 */
import type { GroupSize, QuantisedFormat, QuantisedGroups } from '../ops/tensor.ts';
import { float32BitsToHalf, halfToFloat32Bits } from './convert-tables.ts';

/** Rows of a quantised matrix, ready for the GPU: w = scale * (q - zero). */
export interface PackedMatrix {
  readonly format: QuantisedFormat;
  readonly rows: number;
  /** A multiple of the group's size. */
  readonly columns: number;
  readonly groups: QuantisedGroups;
  /** Along k in plain order, lowest bits first. Shapes: [rows, columns / 4] for int8, [rows, columns / 8] for int4. */
  readonly words: Uint32Array;
  /** f16 pairs: scale in the low half, scale * zero in the high one. Shapes: [rows, columns / size]. */
  readonly scales: Uint32Array;
}

/** The group's size that is taken where nothing else is said: the largest that keeps the error of plain rounding small. */
const PREFERRED_SIZE: Record<QuantisedFormat, GroupSize> = { int8: 128, int4: 32 };
const SIZES: readonly GroupSize[] = [128, 64, 32];

/** Groups for rows of so many columns; null when they are not whole groups of any size. */
export function groupsFor(format: QuantisedFormat, columns: number): QuantisedGroups | null {
  const size = SIZES.find((each) => each <= PREFERRED_SIZE[format] && columns % each === 0);
  return size ? { size, zeros: format === 'int4' } : null;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The half nearest to a value, as bits; `float` then holds what these bits mean. */
function toHalf(value: number): number {
  float[0] = value;
  const half = float32BitsToHalf(bits[0] ?? 0);
  bits[0] = halfToFloat32Bits(half);
  return half;
}

/**
 * Packs rows: bytes symmetrically around 0, nibbles between the least and the largest value of their group.
 * The error of a weight is at most half a step, and half a unit of the f16 that its scale is rounded to, over the group's range.
 * Shapes: values [rows, columns]. Throws: RangeError when the rows are not whole groups.
 */
export function quantiseRows(
  format: QuantisedFormat,
  groups: QuantisedGroups,
  values: Float32Array,
  columns: number,
): PackedMatrix {
  const { size } = groups;
  const rows = values.length / columns;
  if (columns % size !== 0 || !Number.isInteger(rows)) {
    throw new RangeError(`${values.length} values are not whole rows of ${columns} in groups of ${size}.`);
  }
  const packed: PackedMatrix = {
    ...{ format, rows, columns, groups },
    words: new Uint32Array(values.length / (format === 'int8' ? 4 : 8)),
    scales: new Uint32Array(values.length / size),
  };
  const pack = format === 'int8' ? packBytes : packNibbles;
  for (let group = 0; group < packed.scales.length; group++) pack(values, size, group, packed);
  return packed;
}

// In the loops `?? 0` is for the type checker alone: the index is always inside.

// Rounding by truncation of a sum is several times faster here than Math.round.

function signedByte(steps: number): number {
  const quant = (steps + (steps < 0 ? -0.5 : 0.5)) | 0;
  return Math.max(-127, Math.min(127, quant)) & 0xff;
}

function nibble(steps: number): number {
  const quant = (steps + 0.5) | 0;
  return Math.max(0, Math.min(15, quant));
}

function packBytes(values: Float32Array, size: number, group: number, { words, scales }: PackedMatrix): void {
  const first = group * size;
  let largest = 0;
  for (let i = first; i < first + size; i++) {
    const value = Math.abs(values[i] ?? 0);
    if (value > largest) largest = value;
  }
  scales[group] = toHalf(largest / 127);
  const scale = float[0] ?? 0;
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = first; i < first + size; i += 4) {
    words[i / 4] =
      signedByte((values[i] ?? 0) * inverse) |
      (signedByte((values[i + 1] ?? 0) * inverse) << 8) |
      (signedByte((values[i + 2] ?? 0) * inverse) << 16) |
      (signedByte((values[i + 3] ?? 0) * inverse) << 24);
  }
}

function packNibbles(values: Float32Array, size: number, group: number, { words, scales }: PackedMatrix): void {
  const first = group * size;
  let least = Number.POSITIVE_INFINITY;
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = first; i < first + size; i++) {
    const value = values[i] ?? 0;
    if (value < least) least = value;
    if (value > largest) largest = value;
  }
  // The offset as it is stored, so that its rounding is not added to each weight's.
  const offsetHalf = toHalf(-least);
  const offset = float[0] ?? 0;
  const scaleHalf = toHalf((largest + offset) / 15);
  const scale = float[0] ?? 0;
  const inverse = scale === 0 ? 0 : 1 / scale;
  scales[group] = (offsetHalf << 16) | scaleHalf;
  for (let i = first; i < first + size; i += 8) {
    let word = 0;
    for (let j = 7; j >= 0; j--) word = (word << 4) | nibble(((values[i + j] ?? 0) + offset) * inverse);
    words[i / 8] = word;
  }
}
