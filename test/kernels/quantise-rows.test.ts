import { describe, expect } from 'bun:test';
import { allocateQuantisedRows, recordQuantiseRows } from '../../src/engine/ops/quantise-rows.ts';
import { context, gpuTest, randomNumbers, tensor, upload, variants, vector } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { quantiseRowsReference, withoutTies } from '../reference/quantise-rows.ts';
import { rmsNormReference } from '../reference/rms-norm.ts';

/** Where the elements of eight lie, as nibbles unpack: the even ones, then the odd ones. */
const NIBBLE_ORDER = [0, 2, 4, 6, 1, 3, 5, 7];

/** [rows, columns]: one block, several workgroups of blocks. */
const SHAPES: [number, number][] = [
  [1, 32],
  [3, 2144],
];

describe('quantise-rows', () => {
  gpuTest('quants, scales and sums agree with float64, in both orders, with and without a norm', async (device) => {
    for (const variant of variants(device)) {
      // Subgroups only sum the squares of a norm.
      const withNorm = variant.subgroups ? [true] : [false, true];
      for (const [rows, columns] of SHAPES) {
        for (const norm of withNorm) {
          for (const nibbles of norm ? [false] : [false, true]) {
            const ops = context(device, variant);
            const g = randomNumbers(9, columns);
            // The second row begins with a block of zeros and one of tiny numbers.
            const raw = randomNumbers(columns, rows * columns, 3).map((v, i) =>
              i >= columns && i < columns + 64 ? (i < columns + 32 ? 0 : v * 1e-12) : v,
            );
            const meant = withoutTies(norm ? raw.map((v, i) => v * (g[i % columns] ?? 0)) : raw);
            const x = norm ? meant.map((v, i) => v / (g[i % columns] ?? 1)) : meant;
            const to = allocateQuantisedRows(device, rows, columns);
            const guard = 2 * columns;
            const filled = new Uint8Array(rows * columns + guard).fill(0x5a);
            const quantsBuffer = upload(device, 'quants', filled);
            recordQuantiseRows(ops, {
              x: tensor(device, 'x', rows + 1, columns, Float32Array.from([...new Float32Array(columns), ...x])),
              norm: norm ? { weight: vector(device, 'g', g), eps: 1e-5 } : null,
              firstRow: 1,
              numRows: rows,
              nibbles,
              to: { ...to, quants: quantsBuffer },
            });
            ops.recorder.submit();
            const what = `${variant.name} [${rows}, ${columns}] norm ${norm} nibbles ${nibbles}`;
            const bytes = await device.read(quantsBuffer, 0, filled.length);
            expect(bytes.subarray(rows * columns).every((byte) => byte === 0x5a)).toBe(true);
            const stored = new Int8Array(bytes.buffer, bytes.byteOffset, rows * columns);
            const got = nibbles ? stored.slice() : stored;
            if (nibbles) {
              stored.forEach((quant, i) => {
                got[i - (i % 8) + (NIBBLE_ORDER[i % 8] ?? 0)] = quant;
              });
            }
            const want = quantiseRowsReference(meant);
            expectClose('exact', got, want.quants, `${what}: quants`);
            const factors = Array.from({ length: rows }, (_, t) => {
              if (!norm) return 1;
              const row = x.subarray(t * columns, (t + 1) * columns);
              const ones = new Float32Array(columns).fill(1);
              const at = row.findIndex((v) => Math.abs(v) > 0.5);
              return (rmsNormReference(row, ones, 1e-5)[at] ?? 0) / (row[at] ?? 1);
            });
            const pairs = [...want.scales].flatMap((scale, block) => {
              const sum = want.quants.subarray(block * 32, block * 32 + 32).reduce((a, b) => a + b, 0);
              const factor = factors[Math.floor((block * 32) / columns)] ?? 1;
              return [scale * factor, scale * factor * sum];
            });
            const scales = await device.read(to.scales, 0, pairs.length * 4);
            const floats = new Float32Array(scales.buffer, scales.byteOffset, pairs.length);
            expectClose('norm', floats, pairs, `${what}: scales`);
          }
        }
      }
    }
  });

  gpuTest('rows that are not whole blocks, or more than there is room for, are refused', (device) => {
    const ops = context(device);
    const args = { norm: null, firstRow: 0, numRows: 2, nibbles: false, to: allocateQuantisedRows(device, 1, 64) };
    expect(() => recordQuantiseRows(ops, { ...args, x: tensor(device, 'x', 2, 40) })).toThrow('not whole blocks');
    expect(() => recordQuantiseRows(ops, { ...args, x: tensor(device, 'x', 2, 64) })).toThrow('no room for 2 rows');
  });
});
