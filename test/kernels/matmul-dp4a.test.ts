/** Products of integer weights with activations as bytes: against float64 that rounds the activations in the same way. */
import { describe } from 'bun:test';
import { recordGatedMatmul, recordMatmul } from '../../src/engine/ops/matmul.ts';
import { allocateQuantisedRows } from '../../src/engine/ops/quantise-rows.ts';
import type { GroupSize } from '../../src/engine/ops/tensor.ts';
import { allVariants, context, gpuTest, randomNumbers, readTensor, tensor, vector } from '../helpers/gpu.ts';
import { quantisedMatrix } from '../helpers/quantised.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { activationReference, matmulReference } from '../reference/matmul.ts';
import { matmulOfBytesReference } from '../reference/matmul-dp4a.ts';
import { quantisedValues, withoutTies } from '../reference/quantise-rows.ts';

/** [rows, outputs, columns, group]: the matrix-vector kernel, a part of a tile, and several with a last stage of one block. */
const SHAPES: [number, number, number, GroupSize][] = [
  [1, 7, 96, 32],
  [5, 37, 256, 128],
  [33, 9, 64, 64],
  [70, 130, 160, 32],
];

describe('matmul of bytes', () => {
  for (const format of ['int8', 'int4'] as const) {
    gpuTest(`${format}: every kernel, shard and epilogue agrees with float64`, async (device) => {
      for (const variant of allVariants(device)) {
        // f16 types change nothing here.
        if (variant.f16 && !variant.software) continue;
        const isPlain = !variant.subgroups && !variant.software;
        for (const [rows, n, k, size] of SHAPES) {
          if (!isPlain && rows > 5) continue;
          const ops = { ...context(device, variant), dp4a: allocateQuantisedRows(device, rows, k) };
          // Rows ahead of the first: read from there, and written beside.
          const firstRow = rows === 5 ? 2 : 0;
          const x = withoutTies(randomNumbers(rows + n, rows * k));
          const w = quantisedMatrix(device, 'w', format, size, k, randomNumbers(n + k, n * k), Math.ceil(n / 2));
          const full = format === 'int4';
          const bias = randomNumbers(5, n);
          const start = randomNumbers(6, (firstRow + rows) * n);
          const y = tensor(device, 'y', firstRow + rows, n, start);
          const input = new Float32Array((firstRow + rows) * k);
          input.set(x, firstRow * k);
          recordMatmul(ops, {
            x: tensor(device, 'x', firstRow + rows, k, input),
            weight: w.matrix,
            y,
            numRows: rows,
            firstRow,
            bias: full ? vector(device, 'bias', bias) : null,
            accumulate: full,
          });
          ops.recorder.submit();
          const product = matmulOfBytesReference(x, w.values, rows, n, k, full ? bias : null);
          const want = start.map((v, i) => (i < firstRow * n ? v : (product[i - firstRow * n] ?? 0) + (full ? v : 0)));
          const what = `${variant.name} ${format} [${rows}, ${n}, ${k}] groups of ${size}`;
          expectClose('matmul', await readTensor(device, y), want, what, Math.sqrt(k) * 4);
        }
      }
    });

    gpuTest(`${format}: gated, with the norm before it, agrees with float64`, async (device) => {
      for (const variant of allVariants(device)) {
        if (variant.f16 && !variant.software) continue;
        const isPlain = !variant.subgroups && !variant.software;
        for (const rows of isPlain ? [3, 18] : [3]) {
          const [n, k] = [70, 96];
          const ops = { ...context(device, variant), dp4a: allocateQuantisedRows(device, rows, k) };
          const g = randomNumbers(4, k).map((v) => v + Math.sign(v));
          const scaled = withoutTies(randomNumbers(rows, rows * k));
          const x = scaled.map((v, i) => v / (g[i % k] ?? 1));
          const gateValues = randomNumbers(2, n * k).map((v) => v / Math.sqrt(k));
          const gate = quantisedMatrix(device, 'gate', format, 32, k, gateValues, 48);
          const up = quantisedMatrix(device, 'up', format, 32, k, randomNumbers(3, n * k), 48);
          const y = tensor(device, 'y', rows, n);
          recordGatedMatmul(ops, {
            x: tensor(device, 'x', rows, k, x),
            norm: { weight: vector(device, 'g', g), eps: 1e-5 },
            gate: gate.matrix,
            up: up.matrix,
            activation: 'silu',
            y,
            numRows: rows,
          });
          ops.recorder.submit();
          // Rounding does not see the norm's factor, which is the same for a whole row.
          const input = Float32Array.from(quantisedValues(scaled), (v, i) => {
            const row = x.subarray(i - (i % k), i - (i % k) + k);
            return v / Math.sqrt(row.reduce((sum, each) => sum + each * each, 0) / k + 1e-5);
          });
          const u = matmulReference(input, up.values, rows, n, k);
          const product = matmulReference(input, gate.values, rows, n, k);
          const want = product.map((v, i) => activationReference('silu', v) * (u[i] ?? 0));
          expectClose('activation', await readTensor(device, y), want, `${variant.name} ${format} ${rows} rows`, 40);
        }
      }
    });
  }
});
