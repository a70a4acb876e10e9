import { describe } from 'bun:test';
import { recordMoeCombine } from '../../src/engine/ops/moe-combine.ts';
import { context, gpuTest, randomNumbers, readTensor, tensor } from '../helpers/gpu.ts';
import { expertIds, moeRoutes } from '../helpers/moe.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { moeCombineReference } from '../reference/moe-combine.ts';

describe('moe-combine', () => {
  gpuTest('weighted rows are added to what is there, the shared expert besides', async (device) => {
    for (const [numTokens, topK, columns] of [
      [1, 1, 3],
      [3, 2, 64],
      [17, 8, 172],
      [5, 16, 520],
    ] as const) {
      for (const hasShared of [false, true]) {
        const start = randomNumbers(1, numTokens * columns);
        const rows = randomNumbers(2, numTokens * topK * columns);
        const shared = hasShared ? randomNumbers(3, numTokens * columns) : null;
        const weights = randomNumbers(4, numTokens * (topK + (hasShared ? 1 : 0)));
        const ids = expertIds(numTokens, 16, topK, 'random');
        const ops = context(device);
        const y = tensor(device, 'y', numTokens, columns, start);
        recordMoeCombine(ops, {
          routes: moeRoutes(device, 16, topK, ids, weights),
          rows: tensor(device, 'rows', numTokens * topK, columns, rows),
          shared: shared && tensor(device, 'shared', numTokens, columns, shared),
          y,
          numTokens,
        });
        ops.recorder.submit();
        const want = moeCombineReference(start, rows, weights, topK, columns, shared);
        expectClose('matmul', await readTensor(device, y), want, `${numTokens} x ${topK}, shared=${hasShared}`, topK);
      }
    }
  });
});
