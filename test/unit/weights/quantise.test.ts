import { describe, expect, test } from 'bun:test';
import type { GroupSize, QuantisedFormat } from '../../../src/engine/ops/tensor.ts';
import { groupsFor, quantiseRows } from '../../../src/engine/weights/quantise.ts';
import { randomNumbers } from '../../helpers/gpu.ts';
import { dequantise } from '../../reference/quantised.ts';

const HALF = 2 ** -11;

/** The largest error that half a step and the rounding of scale and offset to f16 allow, for one group in float64. */
function errorLimit(format: QuantisedFormat, group: Float32Array): number {
  const largest = Math.max(...group);
  const least = Math.min(...group);
  if (format === 'int8') {
    const range = Math.max(largest, -least);
    // A scale that was rounded down clips the largest value.
    return range / 254 + range * HALF;
  }
  const step = (largest - least) / 15;
  return step / 2 + (largest - least + Math.abs(least)) * 2 * HALF;
}

describe('quantiseRows', () => {
  for (const format of ['int8', 'int4'] as const) {
    test.each([32, 64, 128] as GroupSize[])(
      `${format}, groups of %i: no weight is off by more than half a step`,
      (size) => {
        const columns = 2 * size;
        const values = randomNumbers(size, 3 * columns, 0.02);
        // Groups unlike each other: far from 0, all negative, one outlier, all the same, all 0.
        for (let i = 0; i < size; i++) {
          values[i] = (values[i] ?? 0) + 3;
          values[size + i] = -Math.abs(values[size + i] ?? 0) - 0.001;
          values[3 * size + i] = 0.625;
          values[4 * size + i] = 0;
        }
        values[2 * size + 5] = 1.5;
        const packed = quantiseRows(format, { size, zeros: format === 'int4' }, values, columns);
        const got = dequantise(packed);
        for (let first = 0; first < values.length; first += size) {
          const group = values.subarray(first, first + size);
          const limit = errorLimit(format, group) + 1e-7;
          group.forEach((value, i) => {
            expect(Math.abs((got[first + i] ?? Number.NaN) - value)).toBeLessThanOrEqual(limit);
          });
        }
      },
    );
  }

  test('bytes and nibbles lie along k, lowest bits first', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => (i < 4 ? ([127, -127, 1, -2][i] ?? 0) : 0));
    expect(quantiseRows('int8', { size: 32, zeros: false }, values, 32)).toMatchObject({
      words: Uint32Array.from([0xfe0181_7f, 0, 0, 0, 0, 0, 0, 0]),
      scales: Uint32Array.from([0x3c00]),
    });
    const steps = Float32Array.from({ length: 32 }, (_, i) => (i % 16) - 8);
    expect(quantiseRows('int4', { size: 32, zeros: true }, steps, 32)).toMatchObject({
      words: Uint32Array.from([0x76543210, 0xfedcba98, 0x76543210, 0xfedcba98]),
      scales: Uint32Array.from([0x48003c00]),
    });
  });

  test('rows that are not whole groups are refused', () => {
    expect(() => quantiseRows('int4', { size: 64, zeros: true }, new Float32Array(96), 96)).toThrow(RangeError);
    expect(groupsFor('int8', 96)).toEqual({ size: 32, zeros: false });
    expect(groupsFor('int8', 1536)).toEqual({ size: 128, zeros: false });
    expect(groupsFor('int4', 1536)).toEqual({ size: 32, zeros: true });
    expect(groupsFor('int4', 108)).toBeNull();
  });
});
