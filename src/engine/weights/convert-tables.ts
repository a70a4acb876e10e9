/**
 * Conversions of single float bit patterns, and the tables with all 65,536 answers for 16-bit sources.
 *
 * A table is as fast as memory and made once, when first asked for. Integers only: `Float16Array` and `Math.fround` are many
 * times slower in a loop. Next: `convert.ts`, which runs over chunks.
 */

/** Bits of 65504, the largest finite half. */
export const HALF_MAX = 0x7bff;

/**
 * The half nearest to a float, ties to even. Beyond +-65504 (from 65520 up, and infinity) the largest finite half: an
 * infinity would turn a whole row of results into NaN. NaN stays NaN.
 * Units: bit patterns in and out.
 */
export function float32BitsToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | HALF_MAX;
  // Normal halves: drop 13 bits of mantissa with rounding, move the exponent's bias from 127 to 15.
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // Up to 2^-25 the nearest half is zero (the tie goes to even).
  if (magnitude <= 0x33000000) return sign;
  // Subnormal halves count steps of 2^-24.
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const steps = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  const roundsUp = rest > middle || (rest === middle && (steps & 1) === 1);
  return sign | (roundsUp ? steps + 1 : steps);
}

/** The float with the value of a half; exact. Units: bit patterns in and out (unsigned). */
export function halfToFloat32Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (mantissa << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  if (mantissa === 0) return sign >>> 0;
  // Subnormal: shift the highest set bit into the place of the implicit one.
  const shift = Math.clz32(mantissa) - 21;
  return (sign | ((113 - shift) << 23) | ((mantissa << (shift + 13)) & 0x7fffff)) >>> 0;
}

/** The bf16 nearest to a float, ties to even; NaN stays NaN, made quiet. Units: bit patterns in and out. */
export function float32BitsToBf16(bits: number): number {
  const unsigned = bits >>> 0;
  if ((unsigned & 0x7fffffff) > 0x7f800000) return (unsigned >>> 16) | 0x40;
  return (unsigned + 0x7fff + ((unsigned >>> 16) & 1)) >>> 16;
}

let f16ToF32: Uint32Array | undefined;
export function f16ToF32Table(): Uint32Array {
  f16ToF32 ??= Uint32Array.from({ length: 65536 }, (_, half) => halfToFloat32Bits(half));
  return f16ToF32;
}

let bf16ToF16: Uint16Array | undefined;
export function bf16ToF16Table(): Uint16Array {
  bf16ToF16 ??= Uint16Array.from({ length: 65536 }, (_, bf16) => float32BitsToHalf(bf16 << 16));
  return bf16ToF16;
}

let f16ToBf16: Uint16Array | undefined;
export function f16ToBf16Table(): Uint16Array {
  f16ToBf16 ??= Uint16Array.from({ length: 65536 }, (_, half) => float32BitsToBf16(halfToFloat32Bits(half)));
  return f16ToBf16;
}
