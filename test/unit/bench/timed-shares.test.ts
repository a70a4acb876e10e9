/** What becomes of the times of a step's dispatches, and which clocks are believed. */
import { describe, expect, test } from 'bun:test';
import { isCredible, sharesOf } from '../../../scripts/bench/timed-shares.ts';

describe('sharesOf', () => {
  const product = (ms: number) => ({
    ...{ label: 'matmul-gemv(FORMAT=1 GATED=false)', params: { rows: 2, n: 1000, chunks: 125 }, ms },
  });

  test('adds up the dispatches of a kernel and weight, the longest first', () => {
    const norm = { label: 'rms-norm(WG=64)', params: { rows: 2 }, ms: 1 };
    const shares = sharesOf([product(2), norm, product(2)], 10);
    expect(shares.map(({ kernel, numDispatches, ms, share }) => [kernel, numDispatches, ms, share])).toEqual([
      ['matmul-gemv 1000 x 1000', 2, 4, 0.4],
      ['rms-norm', 1, 1, 0.1],
    ]);
  });

  test('gives the rates of products alone: bytes of weights, and operations', () => {
    const [one, two] = sharesOf([product(1), { label: 'matmul-reduce(WG=64)', params: product(1).params, ms: 0.5 }], 1);
    expect(one).toMatchObject({ weightRate: 2e6 * 1000, operationRate: 4e6 * 1000 });
    expect(two).not.toHaveProperty('weightRate');
  });

  test('counts both matrices of a gated product, and half a byte for int4', () => {
    const gated = { ...product(1), label: 'matmul-tile(FORMAT=4 GATED=true)' };
    expect(sharesOf([gated], 1)[0]).toMatchObject({ weightRate: 1e6 * 1000, operationRate: 8e6 * 1000 });
  });
});

describe('isCredible', () => {
  test('takes a few zeros and nothing below them', () => {
    expect(isCredible([...Array<number>(19).fill(1), 0])).toBe(true);
    expect(isCredible([1, 0])).toBe(false);
    expect(isCredible([1, 2, -1])).toBe(false);
    expect(isCredible([])).toBe(false);
  });
});
