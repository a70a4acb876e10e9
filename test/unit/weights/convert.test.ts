/** Conversions against formulas in float64 that share no code or idea with the bit operations under test. */

import { describe, expect, test } from 'bun:test';
import type { StoredFormat } from '../../../src/engine/ops/tensor.ts';
import { ChunkConverter, paddedToWords } from '../../../src/engine/weights/convert.ts';
import type { FloatDtype } from '../../../src/engine/weights/tensor-entry.ts';

/** A binary float with its sign, as IEEE 754 defines it. */
interface Format {
  readonly exponentBits: number;
  readonly mantissaBits: number;
}
const FORMATS = {
  f16: { exponentBits: 5, mantissaBits: 10 },
  bf16: { exponentBits: 8, mantissaBits: 7 },
  f32: { exponentBits: 8, mantissaBits: 23 },
} as const;

function decode(bits: number, { exponentBits, mantissaBits }: Format): number {
  const sign = Math.floor(bits / 2 ** (exponentBits + mantissaBits)) % 2 === 1 ? -1 : 1;
  const exponent = Math.floor(bits / 2 ** mantissaBits) % 2 ** exponentBits;
  const mantissa = bits % 2 ** mantissaBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** The value of a format that is nearest, ties to the even mantissa, by arithmetic on float64. Infinity beyond the range. */
function round(value: number, { exponentBits, mantissaBits }: Format): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const bias = 2 ** (exponentBits - 1) - 1;
  let exponent = 1 - bias;
  while (2 ** (exponent + 1) <= Math.abs(value)) exponent++;
  const step = 2 ** (exponent - mantissaBits);
  const steps = Math.abs(value) / step;
  const below = Math.floor(steps);
  const rest = steps - below;
  const rounded = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
  const result = rounded * step;
  const largest = (2 - 2 ** -mantissaBits) * 2 ** bias;
  return Math.sign(value) * (result > largest ? Infinity : result);
}

function run(from: FloatDtype, to: StoredFormat, bits: readonly number[]) {
  const converter = new ChunkConverter(from, to);
  const source = from === 'F32' ? Uint32Array.from(bits) : Uint16Array.from(bits);
  const scratch = new Uint8Array(bits.length * 4);
  const target = converter.convert(new Uint8Array(source.buffer), scratch);
  const words =
    to === 'f32' ? new Uint32Array(target.buffer, 0, bits.length) : new Uint16Array(target.buffer, 0, bits.length);
  return { bits: [...words], numOverflowed: converter.numOverflowed };
}

const ALL_16_BIT = Array.from({ length: 65536 }, (_, i) => i);

/** Float32 patterns at every exponent, around every place where rounding to `to` could go wrong. */
function float32Cases(to: Format): number[] {
  const drop = 23 - to.mantissaBits;
  const middle = 2 ** (drop - 1);
  const cases: number[] = [];
  for (let exponent = 0; exponent < 256; exponent++) {
    for (const kept of [0, 1, 2, 3, 2 ** to.mantissaBits - 2, 2 ** to.mantissaBits - 1]) {
      for (const rest of [0, 1, middle - 1, middle, middle + 1, 2 ** drop - 1]) {
        const mantissa = kept * 2 ** drop + rest;
        for (const sign of [0, 2 ** 31]) cases.push(sign + exponent * 2 ** 23 + mantissa);
      }
    }
  }
  // Where halves are subnormal the place of rounding moves with the exponent.
  for (let bits = 0x32f00000; bits < 0x38900000; bits += 0x3ffd) cases.push(bits, bits + 2 ** 31);
  for (let shift = 0; shift < 24; shift++) {
    const value = 2 ** 23 + 2 ** shift;
    for (let exponent = 100; exponent < 114; exponent++) cases.push(exponent * 2 ** 23 + (value % 2 ** 23));
  }
  return cases;
}

/** Compares values; NaN equals NaN, and zeros are told apart by sign. Collects instead of failing 65,536 times. */
function differences(
  inputs: readonly number[],
  got: readonly number[],
  expected: (index: number) => number,
  format: Format,
) {
  const wrong: string[] = [];
  for (const [i, bits] of got.entries()) {
    const value = decode(bits, format);
    const wanted = expected(i);
    if (!Object.is(value, wanted)) wrong.push(`${(inputs[i] ?? 0).toString(16)}: ${value} instead of ${wanted}`);
  }
  return wrong.slice(0, 10);
}

const clamp = (value: number) => (Number.isNaN(value) ? NaN : Math.max(-65504, Math.min(65504, value)));

describe('to f32 is exact', () => {
  for (const [from, format] of [
    ['BF16', FORMATS.bf16],
    ['F16', FORMATS.f16],
  ] as const) {
    test(`from ${from}, all 65,536`, () => {
      const { bits, numOverflowed } = run(from, 'f32', ALL_16_BIT);
      expect(differences(ALL_16_BIT, bits, (i) => decode(i, format), FORMATS.f32)).toEqual([]);
      expect(numOverflowed).toBe(0);
    });
  }
});

describe('to bf16', () => {
  test('from F32: nearest even, at every exponent', () => {
    const cases = float32Cases(FORMATS.bf16);
    const { bits } = run('F32', 'bf16', cases);
    const expected = (i: number) => round(decode(cases[i] ?? 0, FORMATS.f32), FORMATS.bf16);
    expect(differences(cases, bits, expected, FORMATS.bf16)).toEqual([]);
  });

  test('from F16, all 65,536', () => {
    const { bits } = run('F16', 'bf16', ALL_16_BIT);
    const expected = (i: number) => round(decode(i, FORMATS.f16), FORMATS.bf16);
    expect(differences(ALL_16_BIT, bits, expected, FORMATS.bf16)).toEqual([]);
  });

  test('a NaN whose payload lies in the lower half stays one, and is quiet', () => {
    expect(run('F32', 'bf16', [0x7f800001, 0xff80ffff, 0x7fffffff]).bits).toEqual([0x7fc0, 0xffc0, 0x7fff]);
  });
});

describe('to f16', () => {
  test('from F32: nearest even, subnormals, clamped', () => {
    const cases = float32Cases(FORMATS.f16);
    const { bits, numOverflowed } = run('F32', 'f16', cases);
    const values = cases.map((c) => round(decode(c, FORMATS.f32), FORMATS.f16));
    expect(differences(cases, bits, (i) => clamp(values[i] ?? 0), FORMATS.f16)).toEqual([]);
    expect(numOverflowed).toBe(values.filter((value) => Math.abs(value) === Infinity).length);
  });

  test('from BF16, all 65,536', () => {
    const { bits, numOverflowed } = run('BF16', 'f16', ALL_16_BIT);
    const values = ALL_16_BIT.map((i) => round(decode(i, FORMATS.bf16), FORMATS.f16));
    expect(differences(ALL_16_BIT, bits, (i) => clamp(values[i] ?? 0), FORMATS.f16)).toEqual([]);
    expect(numOverflowed).toBe(values.filter((value) => Math.abs(value) === Infinity).length);
  });

  test('what rounds to 65504 by itself does not count as overflow', () => {
    const bitsOf = (values: number[]) => [...new Uint32Array(Float32Array.from(values).buffer)];
    const { bits, numOverflowed } = run('F32', 'f16', bitsOf([65504, 65519.99, -65519.99, 65520, -1e30, Infinity]));
    expect(bits).toEqual([0x7bff, 0x7bff, 0xfbff, 0x7bff, 0xfbff, 0x7bff]);
    expect(numOverflowed).toBe(3);
  });
});

describe('chunks', () => {
  for (const [from, to] of [
    ['F32', 'f32'],
    ['F16', 'f16'],
    ['BF16', 'bf16'],
  ] as const) {
    test(`${from} to ${to} copies nothing`, () => {
      const converter = new ChunkConverter(from, to);
      const source = new Uint8Array(8);
      expect(converter.isIdentity).toBe(true);
      expect(converter.convert(source, new Uint8Array(0))).toBe(source);
    });
  }

  test('the count runs over chunks', () => {
    const converter = new ChunkConverter('BF16', 'f16');
    const source = new Uint8Array(Uint16Array.from([0x7f00, 0x3f80]).buffer);
    const scratch = new Uint8Array(8);
    expect(converter.convert(source, scratch)).toHaveLength(4);
    converter.convert(source, scratch);
    expect(converter.numOverflowed).toBe(2);
    expect(converter.isIdentity).toBe(false);
  });

  test('views inside larger buffers', () => {
    const source = new Uint8Array(16).fill(0xaa);
    source.set([0x80, 0x3f, 0x00, 0x40], 2);
    const scratch = new Uint8Array(16);
    const result = new ChunkConverter('BF16', 'f32').convert(source.subarray(2, 6), scratch.subarray(4));
    expect([...new Float32Array(result.buffer, result.byteOffset, 2)]).toEqual([1, 2]);
    expect(scratch[0]).toBe(0);
    expect(scratch[12]).toBe(0);
  });

  test('what cannot be converted is refused', () => {
    const converter = new ChunkConverter('F32', 'bf16');
    expect(() => converter.convert(new Uint8Array(6), new Uint8Array(8))).toThrow(RangeError);
    expect(() => converter.convert(new Uint8Array(9).subarray(1), new Uint8Array(8))).toThrow(RangeError);
    expect(() => converter.convert(new Uint8Array(8), new Uint8Array(3))).toThrow(RangeError);
    expect(() => converter.convert(new Uint8Array(8), new Uint8Array(12).subarray(2))).toThrow(RangeError);
  });

  test('an odd last chunk is padded to words', () => {
    const buffer = new Uint8Array(8).fill(9);
    const chunk = buffer.subarray(0, 6);
    expect([...paddedToWords(chunk)]).toEqual([9, 9, 9, 9, 9, 9, 0, 0]);
    expect(paddedToWords(buffer)).toBe(buffer);
    expect(() => paddedToWords(new Uint8Array(6))).toThrow(RangeError);
  });
});
