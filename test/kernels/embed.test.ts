import { describe } from 'bun:test';
import { recordEmbed } from '../../src/engine/ops/embed.ts';
import { context, gpuTest, matrix, randomNumbers, readTensor, roundTo, tensor, variants } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { embedReference } from '../reference/embed.ts';

describe('embed', () => {
  gpuTest('every format, whole and sharded, is exact', async (device) => {
    for (const variant of variants(device)) {
      for (const format of ['f32', 'bf16', 'f16'] as const) {
        for (const columns of [8, 100, 264]) {
          const table = randomNumbers(3, 50 * columns).map((v) => roundTo(format, v));
          const ids = [0, 49, 17, 17, 20, 33];
          const ops = context(device, variant);
          const y = tensor(device, 'y', ids.length, columns);
          recordEmbed(ops, {
            table: matrix(device, 'table', format, 50, columns, table, 20),
            tokenIds: ops.recorder.words(Uint32Array.from(ids)),
            numTokens: ids.length,
            y,
          });
          ops.recorder.submit();
          expectClose(
            'exact',
            await readTensor(device, y),
            embedReference(table, ids, columns),
            `${variant.name} ${format} ${columns}`,
          );
        }
      }
    }
  });
});
