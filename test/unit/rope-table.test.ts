import { describe, expect, test } from 'bun:test';
import { inverseFrequencies, ropeTable } from '../../src/engine/models/rope-table.ts';
import type { RopeScaling } from '../../src/engine/models/spec.ts';

/** Frequencies printed by transformers 5.23 (`ROPE_INIT_FUNCTIONS`, f32, seven digits) for the same parameters. */
const PRINTED: readonly { dims: number; theta: number; scaling: RopeScaling; frequencies: readonly number[] }[] = [
  {
    dims: 16,
    theta: 10000,
    scaling: { kind: 'linear', factor: 4 },
    frequencies: [0.25, 0.07905694, 0.025, 0.007905695, 0.0025, 0.0007905695, 0.00025, 7.905695e-5],
  },
  {
    dims: 32,
    theta: 500000,
    scaling: { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 },
    frequencies: [
      ...[1.0, 0.4403666, 0.1939228, 0.0853971, 0.03760603, 0.01656044, 0.007292665, 0.003211446],
      ...[0.000524846, 7.784655e-5, 3.428102e-5, 1.509622e-5, 6.64787e-6, 2.9275e-6, 1.289173e-6, 5.677088e-7],
    ],
  },
  {
    dims: 32,
    theta: 10000,
    scaling: {
      kind: 'yarn',
      factor: 4,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositions: 4096,
      attentionFactor: 1.138629436111989,
      truncate: true,
    },
    frequencies: [
      ...[1.0, 0.5623413, 0.3162278, 0.1778279, 0.1, 0.05623413, 0.02823462, 0.0139722],
      ...[0.006785714, 0.003213379, 0.0014682, 0.0006350998, 0.00025, 0.0001405853, 7.905695e-5, 4.445699e-5],
    ],
  },
  {
    dims: 32,
    theta: 150000,
    scaling: {
      kind: 'yarn',
      factor: 32,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositions: 4096,
      attentionFactor: 1.3465735902799727,
      truncate: false,
    },
    frequencies: [
      ...[1.0, 0.474782, 0.225418, 0.1070244, 0.05081327, 0.019335, 0.006794959, 0.002093793],
      ...[0.0004564839, 3.830881e-5, 1.818834e-5, 8.635496e-6, 4.099978e-6, 1.946596e-6, 9.24209e-7, 4.387979e-7],
    ],
  },
];

describe('rope table', () => {
  test('pairs of cosine and sine by position, then frequency', () => {
    const table = ropeTable({ style: 'half', dims: 4, theta: 10000, scaling: { kind: 'default' } }, 3);
    const want = [0, 1, 2].flatMap((position) =>
      [1, 0.01].flatMap((frequency) => [Math.cos(position * frequency), Math.sin(position * frequency)]),
    );
    expect([...table]).toEqual(want.map(Math.fround));
  });

  test('large positions keep the precision of float64', () => {
    const table = ropeTable({ style: 'half', dims: 2, theta: 10000, scaling: { kind: 'default' } }, 100_001);
    expect(table[200_000]).toBe(Math.fround(Math.cos(100_000)));
    expect(table[200_001]).toBe(Math.fround(Math.sin(100_000)));
  });

  test.each(PRINTED)('$scaling.kind over $dims dimensions has the frequencies of transformers', (of) => {
    const got = inverseFrequencies({ style: 'half', ...of });
    expect(got.length).toBe(of.frequencies.length);
    of.frequencies.forEach((want, i) => {
      expect(Math.abs((got[i] ?? 0) / want - 1)).toBeLessThan(1e-6);
    });
  });

  test('the attention factor multiplies both cosine and sine', () => {
    const scaling = { ...(PRINTED[2]?.scaling as RopeScaling & { kind: 'yarn' }), attentionFactor: 2 };
    const table = ropeTable({ style: 'half', dims: 32, theta: 10000, scaling }, 2);
    expect(table[0]).toBe(2);
    expect(table[1]).toBe(0);
    expect(table[32]).toBe(Math.fround(2 * Math.cos(1)));
    expect(table[33]).toBe(Math.fround(2 * Math.sin(1)));
  });
});
