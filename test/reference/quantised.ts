import type { PackedMatrix } from '../../src/engine/weights/quantise.ts';

/** What the packed elements mean, in float64: w = scale * q - (scale * zero), both halves. Shapes: [rows, columns]. */
export function dequantise(packed: PackedMatrix): Float64Array {
  const { format, columns, groups } = packed;
  const words = new DataView(packed.words.buffer, packed.words.byteOffset, packed.words.byteLength);
  const scales = new DataView(packed.scales.buffer, packed.scales.byteOffset, packed.scales.byteLength);
  return Float64Array.from({ length: packed.rows * columns }, (_, i) => {
    const nibbles = words.getUint8(i >> 1);
    const quant = format === 'int8' ? words.getInt8(i) : i % 2 === 0 ? nibbles & 15 : nibbles >> 4;
    const group = Math.floor(i / groups.size);
    return scales.getFloat16(group * 4, true) * quant - scales.getFloat16(group * 4 + 2, true);
  });
}
