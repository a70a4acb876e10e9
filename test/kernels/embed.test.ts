import { describe } from 'bun:test';
import { PENDING_TOKEN } from '../../src/engine/batch.ts';
import { recordEmbed } from '../../src/engine/ops/embed.ts';
import {
  context,
  gpuTest,
  matrix,
  randomNumbers,
  readTensor,
  roundTo,
  tensor,
  upload,
  variants,
} from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { embedReference } from '../reference/embed.ts';

describe('embed', () => {
  gpuTest('every format, whole and sharded, is exact', async (device) => {
    for (const variant of variants(device)) {
      for (const format of ['f32', 'bf16', 'f16'] as const) {
        for (const columns of [8, 100, 264]) {
          const table = randomNumbers(3, 50 * columns).map((v) => roundTo(format, v));
          const ids = [0, 49, 17, 17, 20, 33];
          // The second, fourth and last are not known to the host: they lie in slots 3, 0 and 1.
          const words = [0, PENDING_TOKEN + 3, 17, PENDING_TOKEN, 20, PENDING_TOKEN + 1];
          const ops = context(device, variant);
          const y = tensor(device, 'y', ids.length, columns);
          recordEmbed(ops, {
            table: matrix(device, 'table', format, 50, columns, table, 20),
            tokenIds: ops.recorder.words(Uint32Array.from(words)),
            numTokens: ids.length,
            nextTokens: upload(device, 'next tokens', Uint32Array.from([17, 33, 999, 49])),
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
