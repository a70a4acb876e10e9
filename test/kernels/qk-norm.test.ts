import { describe } from 'bun:test';
import { recordQkNorm } from '../../src/engine/ops/qk-norm.ts';
import { allVariants, context, gpuTest, randomNumbers, readTensor, tensor, vector } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { qkNormReference } from '../reference/qk-norm.ts';

describe('qk-norm', () => {
  gpuTest('q and k of each row are normed over their whole widths, v is left alone', async (device) => {
    for (const variant of allVariants(device)) {
      for (const [rows, q, k] of [
        [1, 8, 8],
        [5, 172, 36],
        [3, 1024, 256],
      ] as const) {
        const columns = q + 2 * k;
        const qkv = randomNumbers(rows, rows * columns, 3);
        const [qWeight, kWeight] = [randomNumbers(1, q), randomNumbers(2, k)];
        const ops = context(device, variant);
        const x = tensor(device, 'qkv', rows, columns, qkv);
        const weights = { q: vector(device, 'q', qWeight), k: vector(device, 'k', kWeight) };
        recordQkNorm(ops, { qkv: x, ...weights, numTokens: rows, eps: 1e-5 });
        ops.recorder.submit();
        const want = qkNormReference(qkv, columns, qWeight, kWeight, 1e-5);
        expectClose('norm', await readTensor(device, x), want, `${variant.name} [${rows}, ${q}, ${k}]`);
      }
    }
  });
});
