/** Matrix products for more than 16 rows in f32: every tile, ragged edges, split sums and epilogues. */
import { describe } from 'bun:test';
import { recordGatedMatmul, recordMatmul } from '../../src/engine/ops/matmul.ts';
import type { StoredFormat } from '../../src/engine/ops/tensor.ts';
import { context, gpuTest, matrix, randomNumbers, readTensor, roundTo, tensor, vector } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { activationReference, matmulReference } from '../reference/matmul.ts';

/** [rows, outputs, columns] and what they reach; a row less and more than a tile, k with and without a rest. */
const SHAPES: [number, number, number, string][] = [
  [17, 65, 40, 'skinny, 32 rows'],
  [33, 63, 264, 'skinny, 48 rows'],
  [64, 130, 100, 'skinny, 64 rows'],
  [40, 70, 1100, 'skinny, split in 4'],
  [65, 64, 70, '64 x 64'],
  [129, 33, 520, '64 x 64, split in 2'],
  [130, 8195, 24, '128 x 64'],
];

function weights(seed: number, format: StoredFormat, count: number): Float32Array {
  return randomNumbers(seed, count).map((v) => roundTo(format, v));
}

describe('matmul of many rows', () => {
  for (const format of ['f32', 'bf16', 'f16'] as const) {
    for (const useF16 of format === 'f16' ? [false, true] : [false]) {
      gpuTest(`${format}${useF16 ? ' with f16 types' : ''}: tiles agree with float64`, async (device) => {
        if (useF16 && !device.hasF16) return;
        for (const [rows, n, k, name] of SHAPES) {
          // Full epilogues and every tile for f32; the other formats differ only in how they unpack.
          const full = format === 'f32';
          if (!full && rows !== 17 && rows !== 40 && rows !== 129) continue;
          const ops = context(device, { subgroups: false, f16: useF16 });
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
          expectClose('matmul', await readTensor(device, y), want, `${format} ${name}`, Math.sqrt(k) * 4);
        }
      });
    }
  }

  gpuTest('only the rows asked for are read and written', async (device) => {
    const [rows, n, k] = [20, 40, 600];
    const ops = context(device);
    const x = randomNumbers(1, (rows + 5) * k);
    const w = weights(2, 'bf16', n * k);
    const start = randomNumbers(3, (rows + 5) * n);
    const y = tensor(device, 'y', rows + 5, n, start);
    const weight = matrix(device, 'w', 'bf16', n, k, w);
    recordMatmul(ops, { x: tensor(device, 'x', rows + 5, k, x), weight, y, numRows: rows, firstRow: 3 });
    ops.recorder.submit();
    const all = matmulReference(x, w, rows + 5, n, k);
    const want = start.map((v, i) => (i >= 3 * n && i < (rows + 3) * n ? (all[i] ?? 0) : v));
    expectClose('matmul', await readTensor(device, y), want, 'rows 3 to 22', Math.sqrt(k) * 4);
  });

  gpuTest('gated pairs, with and without biases, split and not', async (device) => {
    for (const [rows, n, k, biased] of [
      [30, 70, 100, false],
      [30, 70, 600, true],
      [100, 40, 72, true],
    ] as const) {
      const ops = context(device);
      const x = randomNumbers(1, rows * k);
      const gate = weights(2, 'bf16', n * k).map((v) => roundTo('bf16', v / Math.sqrt(k)));
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
      expectClose('activation', await readTensor(device, y), want, `gated [${rows}, ${n}, ${k}]`, Math.sqrt(k) * 4);
    }
  });
});
