/** Matrix products with subgroup matrices: f16 operands, f32 sums; runs where the adapter offers them. `REQUIRE_MATRIX=1` demands it. */
import { describe, expect } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { recordGatedMatmul, recordMatmul } from '../../src/engine/ops/matmul.ts';
import type { StoredFormat } from '../../src/engine/ops/tensor.ts';
import { context, matrix, randomNumbers, readTensor, roundTo, tensor, vector } from '../helpers/gpu.ts';
import { matrixConfig, matrixTest } from '../helpers/matrix.ts';
import { quantisedMatrix } from '../helpers/quantised.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { activationReference, matmulReference } from '../reference/matmul.ts';

function matrixContext(device: GpuDevice) {
  return context(device, { subgroups: true, f16: true, matrix: matrixConfig });
}

/** [rows, outputs, columns] and what they reach. */
const SHAPES: [number, number, number, string][] = [
  [17, 65, 40, 'a tile of 32 rows'],
  [32, 64, 32, 'one whole tile'],
  [33, 63, 100, 'a tile of 64 rows'],
  [70, 130, 264, 'several tiles'],
  [40, 70, 1100, 'split in 4'],
];

function weights(seed: number, format: StoredFormat, count: number, spread = 1): Float32Array {
  return randomNumbers(seed, count, spread).map((v) => roundTo(format, v));
}

describe('matmul with subgroup matrices', () => {
  for (const format of ['bf16', 'f16'] as const) {
    matrixTest(`${format}: every shape, with bias and accumulation or plain`, async (device) => {
      for (const [rows, n, k, name] of SHAPES) {
        const full = format === 'bf16';
        const ops = matrixContext(device);
        const x = randomNumbers(rows + n, rows * k);
        const w = weights(n + k, format, n * k);
        const biasValues = randomNumbers(5, n);
        const start = randomNumbers(6, rows * n);
        const y = tensor(device, 'y', rows, n, start);
        recordMatmul(ops, {
          x: tensor(device, 'x', rows, k, x),
          weight: matrix(device, 'w', format, n, k, w, n === 130 ? 50 : n),
          bias: full ? vector(device, 'bias', biasValues) : null,
          accumulate: full,
          y,
          numRows: rows,
        });
        ops.recorder.submit();
        const want = matmulReference(x, w, rows, n, k, full ? biasValues : null).map(
          (v, i) => v + (full ? (start[i] ?? 0) : 0),
        );
        expectClose('matmulF16', await readTensor(device, y), want, `${format} ${name}`, Math.sqrt(k) * 4);
      }
      expect([...device.compiled].some((kernel) => kernel.label.startsWith('matmul-matrix'))).toBe(true);
    });
  }

  for (const format of ['int8', 'int4'] as const) {
    matrixTest(`${format}: groups with scales`, async (device) => {
      const [rows, n, k] = [20, 40, 192];
      const ops = matrixContext(device);
      const x = randomNumbers(1, rows * k);
      const w = quantisedMatrix(device, 'w', format, 64, k, randomNumbers(2, n * k, 1 / Math.sqrt(k)), 30);
      const up = quantisedMatrix(device, 'up', format, 64, k, randomNumbers(3, n * k), 30);
      const xs = tensor(device, 'x', rows, k, x);
      const y = tensor(device, 'y', rows, n);
      const product = matmulReference(x, w.values, rows, n, k);
      const what = `${format} [${rows}, ${n}, ${k}]`;
      if (format === 'int4') {
        recordGatedMatmul(ops, { x: xs, gate: w.matrix, up: up.matrix, activation: 'silu', y, numRows: rows });
        ops.recorder.submit();
        const u = matmulReference(x, up.values, rows, n, k);
        const want = product.map((v, i) => activationReference('silu', v) * (u[i] ?? 0));
        expectClose('gatedF16', await readTensor(device, y), want, `gated ${what}`, Math.sqrt(k) * 4);
      } else {
        recordMatmul(ops, { x: xs, weight: w.matrix, y, numRows: rows });
        ops.recorder.submit();
        expectClose('matmulF16', await readTensor(device, y), product, what, 4);
      }
    });
  }

  matrixTest('gated pairs, with and without biases, split and not', async (device) => {
    for (const [rows, n, k, biased] of [
      [30, 70, 100, false],
      [50, 70, 600, true],
    ] as const) {
      const ops = matrixContext(device);
      const x = randomNumbers(1, rows * k);
      const gate = weights(2, 'bf16', n * k, 1 / Math.sqrt(k));
      const up = weights(3, 'bf16', n * k);
      const [b1, b2] = [randomNumbers(8, n), randomNumbers(9, n)];
      const y = tensor(device, 'y', rows, n);
      recordGatedMatmul(ops, {
        x: tensor(device, 'x', rows, k, x),
        gate: matrix(device, 'gate', 'bf16', n, k, gate),
        up: matrix(device, 'up', 'bf16', n, k, up),
        gateBias: biased ? vector(device, 'b1', b1) : null,
        upBias: biased ? vector(device, 'b2', b2) : null,
        activation: 'silu',
        y,
        numRows: rows,
      });
      ops.recorder.submit();
      const g = matmulReference(x, gate, rows, n, k, biased ? b1 : null);
      const u = matmulReference(x, up, rows, n, k, biased ? b2 : null);
      const want = g.map((v, i) => activationReference('silu', v) * (u[i] ?? 0));
      expectClose('gatedF16', await readTensor(device, y), want, `gated [${rows}, ${n}, ${k}]`, Math.sqrt(k) * 4);
    }
  });

  matrixTest('magnitudes far outside f16 keep their bits, row by row', async (device) => {
    const [rows, n, k] = [24, 40, 72];
    const rowScale = (t: number) => 2 ** ((t % 5) * 20 - 40) * 3;
    const outputScale = (o: number) => 2 ** ((o % 7) * 10 - 30);
    const x = randomNumbers(1, rows * k).map((v, i) => v * rowScale(Math.floor(i / k)));
    const w = weights(2, 'bf16', n * k).map((v, i) => v * outputScale(Math.floor(i / k)));
    x.fill(0, 7 * k, 8 * k);
    w.fill(0, 9 * k, 10 * k);
    const ops = matrixContext(device);
    const y = tensor(device, 'y', rows, n);
    const weight = matrix(device, 'w', 'bf16', n, k, w);
    recordMatmul(ops, { x: tensor(device, 'x', rows, k, x), weight, y, numRows: rows });
    ops.recorder.submit();
    const scaled = (values: ArrayLike<number>) =>
      Array.from(values, (v, i) => v / rowScale(Math.floor(i / n)) / outputScale(i % n));
    const got = scaled(await readTensor(device, y));
    expectClose('matmulF16', got, scaled(matmulReference(x, w, rows, n, k)), 'scaled', Math.sqrt(k) * 4);
  });

  matrixTest('an infinity or NaN spoils its row alone', async (device) => {
    const [rows, n, k] = [20, 33, 40];
    const x = randomNumbers(1, rows * k);
    const w = weights(2, 'f16', n * k);
    x[3 * k + 5] = Number.POSITIVE_INFINITY;
    x[11 * k] = Number.NaN;
    const ops = matrixContext(device);
    const y = tensor(device, 'y', rows, n);
    const weight = matrix(device, 'w', 'f16', n, k, w);
    recordMatmul(ops, { x: tensor(device, 'x', rows, k, x), weight, y, numRows: rows });
    ops.recorder.submit();
    const want = matmulReference(x, w, rows, n, k).map((v, i) =>
      [3, 11].includes(Math.floor(i / n)) ? Number.NaN : v,
    );
    expectClose('matmulF16', await readTensor(device, y), want, 'spoilt rows', Math.sqrt(k) * 4);
  });
});
