/** Matrix products with integer weights: every kernel against float64 over the dequantised weights. */
import { describe, expect } from 'bun:test';
import { recordGatedMatmul, recordMatmul } from '../../src/engine/ops/matmul.ts';
import type { GroupSize, QuantisedFormat } from '../../src/engine/ops/tensor.ts';
import { allVariants, context, gpuTest, randomNumbers, readTensor, tensor, variants, vector } from '../helpers/gpu.ts';
import { quantisedMatrix } from '../helpers/quantised.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { activationReference, matmulReference } from '../reference/matmul.ts';
import { rmsNormReference } from '../reference/rms-norm.ts';

/** [rows, outputs, columns, group]: both ways to apply scales, and a tile. */
const SHAPES: [number, number, number, GroupSize][] = [
  [1, 7, 64, 32],
  [2, 37, 640, 128],
  [7, 9, 192, 64],
  [33, 65, 128, 128],
];

const formats: QuantisedFormat[] = ['int8', 'int4'];

describe('matmul with quantised weights', () => {
  for (const format of formats) {
    gpuTest(`${format}: every shape and variant, with bias and accumulation, agrees with float64`, async (device) => {
      for (const variant of allVariants(device)) {
        // f16 types change nothing here.
        if (variant.f16 && !variant.software) continue;
        const isPlain = !variant.subgroups && !variant.software;
        for (const [rows, n, k, size] of SHAPES) {
          // Subgroups change the end of the matrix-vector kernel alone; the one for software adapters has no class of its own for 2 rows.
          if (!isPlain && rows !== 1 && rows !== 7) continue;
          const ops = context(device, variant);
          const x = randomNumbers(rows + n, rows * k);
          const w = quantisedMatrix(device, 'w', format, size, k, randomNumbers(n + k, n * k), Math.ceil(n / 2));
          const bias = randomNumbers(5, n);
          const start = randomNumbers(6, rows * n);
          const full = format === 'int4';
          const y = tensor(device, 'y', rows, n, full ? start : undefined);
          recordMatmul(ops, {
            x: tensor(device, 'x', rows, k, x),
            weight: w.matrix,
            y,
            numRows: rows,
            bias: full ? vector(device, 'bias', bias) : null,
            accumulate: full,
          });
          ops.recorder.submit();
          const product = matmulReference(x, w.values, rows, n, k, full ? bias : null);
          const want = full ? product.map((v, i) => v + (start[i] ?? 0)) : product;
          const what = `${variant.name} ${format} [${rows}, ${n}, ${k}] groups of ${size}`;
          expectClose('matmul', await readTensor(device, y), want, what, Math.sqrt(k) * 4);
        }
      }
    });

    gpuTest(`${format}: gated, with and without a folded norm, agrees with float64`, async (device) => {
      for (const variant of allVariants(device)) {
        if (variant.f16 && !variant.software) continue;
        for (const rows of variant.name === 'plain' ? [1, 5] : [3]) {
          const [n, k] = [21, 128];
          const ops = context(device, variant);
          const x = randomNumbers(rows, rows * k);
          const scaled = randomNumbers(2, n * k).map((v) => v / Math.sqrt(k));
          const gate = quantisedMatrix(device, 'gate', format, 64, k, scaled, 16);
          const up = quantisedMatrix(device, 'up', format, 64, k, randomNumbers(3, n * k), 16);
          const g = randomNumbers(4, k);
          const folds = variant.name === 'plain';
          const y = tensor(device, 'y', rows, n);
          recordGatedMatmul(ops, {
            x: tensor(device, 'x', rows, k, x),
            norm: folds ? { weight: vector(device, 'g', g), eps: 1e-5 } : null,
            gate: gate.matrix,
            up: up.matrix,
            activation: 'silu',
            y,
            numRows: rows,
          });
          ops.recorder.submit();
          const row = (t: number) => x.subarray(t * k, (t + 1) * k);
          const input = folds
            ? Float32Array.from(Array.from({ length: rows }, (_, t) => [...rmsNormReference(row(t), g, 1e-5)]).flat())
            : x;
          const u = matmulReference(input, up.values, rows, n, k);
          const product = matmulReference(input, gate.values, rows, n, k);
          const want = product.map((v, i) => activationReference('silu', v) * (u[i] ?? 0));
          const what = `${variant.name} ${format} ${rows} rows, norm ${folds}`;
          expectClose('activation', await readTensor(device, y), want, what, Math.sqrt(k) * 4);
        }
      }
    });
  }

  gpuTest('zeros are honoured for bytes too, when the matrix says so', async (device) => {
    const [n, k] = [5, 64];
    const w = quantisedMatrix(device, 'w', 'int8', 32, k, randomNumbers(1, n * k), n);
    const shifted = new Uint32Array(w.matrix.shards[0]?.scales?.bytes ?? 0).fill(0x38003c00);
    for (const variant of variants(device).slice(0, 1)) {
      for (const rows of [1, 4]) {
        const ops = context(device, variant);
        const [shard] = w.matrix.shards;
        if (!shard?.scales) throw new Error('no scales');
        device.write(shard.scales, 0, new Uint8Array(shifted.buffer, 0, (n * k * 4) / 32));
        const x = randomNumbers(2, rows * k);
        const y = tensor(device, 'y', rows, n);
        const weight = { ...w.matrix, groups: { size: 32, zeros: true } } as const;
        recordMatmul(ops, { x: tensor(device, 'x', rows, k, x), weight, y, numRows: rows });
        ops.recorder.submit();
        const bytes = await device.read(shard.buffer, 0, n * k);
        const values = Float32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, n * k), (q) => q - 0.5);
        const want = matmulReference(x, values, rows, n, k);
        expectClose('matmul', await readTensor(device, y), want, `${rows} rows`, 127 * Math.sqrt(k));
      }
    }
  });

  gpuTest('columns that are not whole groups and pairs of different kinds are refused', (device) => {
    const ops = context(device);
    const make = (format: QuantisedFormat) =>
      quantisedMatrix(device, 'w', format, 32, 64, new Float32Array(8 * 64), 8).matrix;
    const x = tensor(device, 'x', 1, 64);
    const y = tensor(device, 'y', 1, 8);
    const pair = { gate: make('int8'), up: make('int4'), activation: 'silu', x, y, numRows: 1 } as const;
    expect(() => recordGatedMatmul(ops, pair)).toThrow('gate is int8, up is int4');
    const weight = { ...make('int8'), groups: { size: 128, zeros: false } } as const;
    expect(() => recordMatmul(ops, { x, weight, y, numRows: 1 })).toThrow('not whole groups');
  });
});
