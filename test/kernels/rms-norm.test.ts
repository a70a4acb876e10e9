import { describe } from 'bun:test';
import { recordRmsNorm } from '../../src/engine/ops/rms-norm.ts';
import { allVariants, context, gpuTest, randomNumbers, readTensor, tensor, vector } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { rmsNormReference } from '../reference/rms-norm.ts';

describe('rms-norm', () => {
  gpuTest('rows of every width, in place order and gathered', async (device) => {
    for (const variant of allVariants(device)) {
      for (const [rows, columns] of [
        [1, 1],
        [3, 64],
        [5, 172],
        [2, 513],
        [4, 2048],
      ] as const) {
        const x = randomNumbers(columns, rows * columns, 3);
        const w = randomNumbers(7, columns);
        const list = Uint32Array.from({ length: rows }, (_, i) => rows - 1 - i);
        for (const gather of [false, true]) {
          const ops = context(device, variant);
          const y = tensor(device, 'y', rows, columns);
          recordRmsNorm(ops, {
            x: tensor(device, 'x', rows, columns, x),
            weight: vector(device, 'w', w),
            y,
            numRows: rows,
            rowList: gather ? ops.recorder.words(list) : null,
            eps: 1e-5,
          });
          ops.recorder.submit();
          const want = Array.from({ length: rows }, (_, t) => {
            const row = gather ? rows - 1 - t : t;
            return [...rmsNormReference(x.subarray(row * columns, (row + 1) * columns), w, 1e-5)];
          }).flat();
          expectClose(
            'norm',
            await readTensor(device, y),
            want,
            `${variant.name} [${rows}, ${columns}] gather=${gather}`,
          );
        }
      }
    }
  });
});
