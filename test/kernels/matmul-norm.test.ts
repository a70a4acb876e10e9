/** The rms norm folded into the matrix-vector kernel: as if the rows had been normed before. */
import { describe, expect } from 'bun:test';
import { foldsNorm, recordGatedMatmul, recordMatmul } from '../../src/engine/ops/matmul.ts';
import {
  context,
  gpuTest,
  matrix,
  randomNumbers,
  readTensor,
  roundTo,
  tensor,
  variants,
  vector,
} from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { activationReference, matmulReference } from '../reference/matmul.ts';
import { rmsNormReference } from '../reference/rms-norm.ts';

const EPS = 1e-5;

/** [rows, outputs, columns]. */
const PLAIN: [number, number, number][] = [
  [1, 7, 64],
  [3, 65, 172],
  [16, 9, 520],
];
const GATED: [number, number, number][] = [
  [1, 9, 172],
  [13, 40, 264],
];

/** Rows of very different size, so that a scale of the wrong row shows. */
function rowsOf(numRows: number, columns: number): Float32Array {
  return randomNumbers(numRows, numRows * columns).map((v, i) => v * (1 + 3 * Math.floor(i / columns)));
}

function normed(x: Float32Array, weight: Float32Array, columns: number): Float32Array {
  const rows = Array.from({ length: x.length / columns }, (_, t) => x.subarray(t * columns, (t + 1) * columns));
  return Float32Array.from(rows.flatMap((row) => [...rmsNormReference(row, weight, EPS)]));
}

describe('matmul with a folded norm', () => {
  gpuTest('plain, with bias and accumulation, agrees with float64', async (device) => {
    for (const variant of variants(device)) {
      for (const [rows, n, k] of PLAIN) {
        const ops = context(device, variant);
        const x = rowsOf(rows, k);
        const w = randomNumbers(2, n * k).map((v) => roundTo('bf16', v));
        const g = randomNumbers(3, k);
        const bias = randomNumbers(4, n);
        const start = randomNumbers(5, rows * n);
        const y = tensor(device, 'y', rows, n, start);
        const weight = matrix(device, 'w', 'bf16', n, k, w, Math.ceil(n / 2));
        expect(foldsNorm(ops, weight, rows, false)).toBe(true);
        recordMatmul(ops, {
          x: tensor(device, 'x', rows, k, x),
          norm: { weight: vector(device, 'g', g), eps: EPS },
          weight,
          bias: vector(device, 'bias', bias),
          y,
          numRows: rows,
          accumulate: true,
        });
        ops.recorder.submit();
        const want = matmulReference(normed(x, g, k), w, rows, n, k, bias).map((v, i) => v + (start[i] ?? 0));
        expectClose(
          'matmul',
          await readTensor(device, y),
          want,
          `${variant.name} [${rows}, ${n}, ${k}]`,
          Math.sqrt(k) * 4,
        );
      }
    }
  });

  gpuTest('gated, with biases, agrees with float64', async (device) => {
    for (const variant of variants(device)) {
      for (const [rows, n, k] of GATED) {
        const ops = context(device, variant);
        const x = rowsOf(rows, k);
        const gate = randomNumbers(2, n * k).map((v) => roundTo('bf16', v / Math.sqrt(k)));
        const up = randomNumbers(3, n * k).map((v) => roundTo('bf16', v));
        const g = randomNumbers(4, k);
        const [b1, b2] = [randomNumbers(8, n), randomNumbers(9, n)];
        const y = tensor(device, 'y', rows, n);
        const gateMatrix = matrix(device, 'gate', 'bf16', n, k, gate);
        expect(foldsNorm(ops, gateMatrix, rows, true)).toBe(true);
        recordGatedMatmul(ops, {
          x: tensor(device, 'x', rows, k, x),
          norm: { weight: vector(device, 'g', g), eps: EPS },
          gate: gateMatrix,
          up: matrix(device, 'up', 'bf16', n, k, up),
          gateBias: vector(device, 'b1', b1),
          upBias: vector(device, 'b2', b2),
          activation: 'silu',
          y,
          numRows: rows,
        });
        ops.recorder.submit();
        const input = normed(x, g, k);
        const u = matmulReference(input, up, rows, n, k, b2);
        const want = matmulReference(input, gate, rows, n, k, b1).map(
          (v, i) => activationReference('silu', v) * (u[i] ?? 0),
        );
        expectClose(
          'activation',
          await readTensor(device, y),
          want,
          `${variant.name} [${rows}, ${n}, ${k}]`,
          Math.sqrt(k) * 4,
        );
      }
    }
  });

  gpuTest('tiles and the kernel for software adapters leave it to an op of its own, and refuse it', (device) => {
    const software = context(device, { subgroups: false, f16: false, software: true });
    const many = context(device);
    const weight = matrix(device, 'w', 'bf16', 8, 64, new Float32Array(512));
    expect(foldsNorm(software, weight, 1, false)).toBe(false);
    expect(foldsNorm(many, weight, 17, false)).toBe(false);
    for (const [ops, rows] of [
      [software, 1],
      [many, 17],
    ] as const) {
      const args = {
        x: tensor(device, 'x', rows, 64),
        norm: { weight: vector(device, 'g', new Float32Array(64)), eps: EPS },
        weight,
        y: tensor(device, 'y', rows, 8),
        numRows: rows,
      };
      expect(() => recordMatmul(ops, args)).toThrow('does not fold a norm');
    }
  });
});
