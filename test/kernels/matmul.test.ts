import { describe } from 'bun:test';
import { recordGatedMatmul, recordMatmul } from '../../src/engine/ops/matmul.ts';
import type { StoredFormat } from '../../src/engine/ops/tensor.ts';
import {
  allVariants,
  context,
  gpuTest,
  matrix,
  randomNumbers,
  readTensor,
  roundTo,
  tensor,
  vector,
} from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { activationReference, matmulReference } from '../reference/matmul.ts';

const FORMATS: StoredFormat[] = ['f32', 'bf16', 'f16'];

/** [rows, outputs, columns]: one, odd, prime, around the tile, several tiles. */
const SHAPES: [number, number, number][] = [
  [1, 1, 1],
  [1, 7, 64],
  [2, 33, 172],
  [3, 64, 257],
  [4, 129, 40],
  [7, 5, 512],
  [16, 67, 96],
  [17, 31, 64],
  [31, 33, 100],
  [32, 32, 32],
  [33, 65, 257],
  [70, 130, 72],
];

const PACKED_SHAPES: [number, number, number][] = [
  [1, 7, 64],
  [1, 9, 520],
  [7, 5, 172],
  [33, 65, 100],
];

function weights(seed: number, format: StoredFormat, count: number): Float32Array {
  return randomNumbers(seed, count).map((v) => roundTo(format, v));
}

describe('matmul', () => {
  for (const format of FORMATS) {
    gpuTest(`${format}: every shape, variant and epilogue agrees with float64`, async (device) => {
      for (const variant of allVariants(device)) {
        if (variant.f16 && !variant.software && format !== 'f16') continue;
        for (const [rows, n, k] of format === 'f32' ? SHAPES : PACKED_SHAPES) {
          const what = `${variant.name} ${format} [${rows}, ${n}, ${k}]`;
          const x = randomNumbers(rows + n, rows * k);
          const w = weights(n + k, format, n * k);
          const biasValues = randomNumbers(5, n);
          const start = randomNumbers(6, rows * n);
          const ops = context(device, variant);
          const xs = tensor(device, 'x', rows, k, x);
          const ws = matrix(device, 'w', format, n, k, w, n > 40 ? Math.ceil(n / 3) : n);
          const y = tensor(device, 'y', rows, n, start);
          // The epilogue of f32 is the full one; the packed formats differ only in how they unpack, and take the plain one.
          const full = format === 'f32';
          const bias = full ? vector(device, 'bias', biasValues) : null;
          recordMatmul(ops, { x: xs, weight: ws, y, numRows: rows, bias, accumulate: full });
          ops.recorder.submit();
          const want = matmulReference(x, w, rows, n, k, full ? biasValues : null);
          if (full)
            want.forEach((v, i) => {
              want[i] = v + (start[i] ?? 0);
            });
          expectClose('matmul', await readTensor(device, y), want, what, Math.sqrt(k) * 4);
        }
      }
    });
  }

  gpuTest('gated: activation(gate) * up for every activation, with and without biases', async (device) => {
    for (const variant of allVariants(device)) {
      for (const activation of ['silu', 'gelu-tanh', 'gelu'] as const) {
        const shapes = [
          [1, 9, 64],
          [3, 64, 300],
          [40, 50, 64],
        ] as const;
        for (const [rows, n, k] of activation === 'silu' ? shapes : shapes.slice(0, 1)) {
          const x = randomNumbers(1, rows * k);
          const gate = weights(2, 'bf16', n * k).map((v) => roundTo('bf16', v / Math.sqrt(k)));
          const up = weights(3, 'bf16', n * k);
          for (const biased of activation === 'silu' && rows !== 3 ? [false, true] : [false]) {
            const b1 = randomNumbers(8, n);
            const b2 = randomNumbers(9, n);
            const ops = context(device, variant);
            const y = tensor(device, 'y', rows, n);
            recordGatedMatmul(ops, {
              x: tensor(device, 'x', rows, k, x),
              gate: matrix(device, 'gate', 'bf16', n, k, gate, n > 40 ? 32 : n),
              up: matrix(device, 'up', 'bf16', n, k, up, n > 40 ? 32 : n),
              gateBias: biased ? vector(device, 'b1', b1) : null,
              upBias: biased ? vector(device, 'b2', b2) : null,
              activation,
              y,
              numRows: rows,
            });
            ops.recorder.submit();
            const g = matmulReference(x, gate, rows, n, k, biased ? b1 : null);
            const u = matmulReference(x, up, rows, n, k, biased ? b2 : null);
            const want = g.map((v, i) => activationReference(activation, v) * (u[i] ?? 0));
            const what = `${variant.name} ${activation} [${rows}, ${n}, ${k}] biased=${biased}`;
            expectClose('activation', await readTensor(device, y), want, what, Math.sqrt(k) * 4);
          }
        }
      }
    }
  });
});
