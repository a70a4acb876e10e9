/** Weights larger than one binding: a head of 200 MiB, loaded through the loader, sharded by rows, multiplied. */
import { expect } from 'bun:test';
import { recordEmbed } from '../../src/engine/ops/embed.ts';
import { recordMatmul } from '../../src/engine/ops/matmul.ts';
import { WeightLoader } from '../../src/engine/weights/loader.ts';
import type { WeightFiles } from '../../src/engine/weights/weight-files.ts';
import { context, gpuTest, randomNumbers, readTensor, tensor } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';

const ROWS = 51_200;
const COLUMNS = 1024;

/** Element [row, column] of the made-up tensor; cheap, and different in every row. */
const element = (row: number, column: number) => ((row * 31 + column * 7) % 257) / 256 - 0.5;

const entry = {
  name: 'lm_head.weight',
  dtype: 'F32' as const,
  shape: [ROWS, COLUMNS],
  byteOffset: 0,
  byteLength: ROWS * COLUMNS * 4,
  file: 'made up',
};

const files: WeightFiles = {
  names: () => [entry.name],
  has: (name) => name === entry.name,
  entry: () => entry,
  async read(_name, into, byteOffsetInTensor) {
    const floats = new Float32Array(into.buffer, into.byteOffset, into.byteLength / 4);
    const first = byteOffsetInTensor / 4;
    for (let i = 0; i < floats.length; i++)
      floats[i] = element(Math.floor((first + i) / COLUMNS), (first + i) % COLUMNS);
  },
  async close() {},
};

gpuTest('a head of 200 MiB is sharded where one binding cannot hold it, and gives every row', async (device) => {
  const loader = new WeightLoader(device, files, null, () => {});
  const head = await loader.matrix([entry.name], [ROWS], COLUMNS);
  expect(loader.storedBytes).toBe(entry.byteLength);
  const limit = device.limits.maxStorageBufferBindingSize;
  expect(head.shards.length).toBe(Math.ceil(entry.byteLength / Math.min(limit, 2 ** 30)));
  expect(head.shards.every((shard) => shard.buffer.bytes <= limit)).toBe(true);

  const x = randomNumbers(1, COLUMNS);
  const ops = context(device);
  const y = tensor(device, 'y', 1, ROWS);
  const ids = [0, 33_000, ROWS - 1];
  const rows = tensor(device, 'rows', ids.length, COLUMNS);
  recordMatmul(ops, { x: tensor(device, 'x', 1, COLUMNS, x), weight: head, y, numRows: 1 });
  recordEmbed(ops, {
    table: head,
    tokenIds: ops.recorder.words(Uint32Array.from(ids)),
    numTokens: ids.length,
    nextTokens: device.createBuffer('next tokens', 16),
    y: rows,
  });
  ops.recorder.submit();

  const want = Float64Array.from({ length: ROWS }, (_, row) => {
    let sum = 0;
    for (let k = 0; k < COLUMNS; k++) sum += Math.fround(element(row, k)) * (x[k] ?? 0);
    return sum;
  });
  expectClose('matmul', await readTensor(device, y), want, 'logits', Math.sqrt(COLUMNS));
  const wantRows = ids.flatMap((id) => Array.from({ length: COLUMNS }, (_, k) => Math.fround(element(id, k))));
  expectClose('exact', await readTensor(device, rows), wantRows, 'embedding rows');
  for (const shard of head.shards) device.destroyBuffer(shard.buffer);
});

gpuTest('shards end between blocks of rows, or within a block that no binding holds', async (device) => {
  const cut = async (limit: number, blockRows: number) => {
    const limits = { ...device.limits, maxStorageBufferBindingSize: limit };
    // A device of the same buffers with a smaller limit.
    const small = new Proxy(device, {
      get: (target, key) => (key === 'limits' ? limits : Reflect.get(target, key, target)),
    });
    const few = { ...files, entry: () => ({ ...entry, shape: [12, 64], byteLength: 12 * 64 * 4 }) };
    const loader = new WeightLoader(small, few, null, () => {});
    const { shards } = await loader.matrix([entry.name], [12], 64, blockRows);
    return shards.map(({ firstRow, rows }) => [firstRow, rows]);
  };
  const rowBytes = 64 * 4;
  expect(await cut(5 * rowBytes, 1)).toEqual([
    [0, 5],
    [5, 5],
    [10, 2],
  ]);
  expect(await cut(5 * rowBytes, 4)).toEqual([
    [0, 4],
    [4, 4],
    [8, 4],
  ]);
  expect(await cut(9 * rowBytes, 4)).toEqual([
    [0, 8],
    [8, 4],
  ]);
  expect(await cut(3 * rowBytes, 4)).toEqual([
    [0, 3],
    [3, 1],
    [4, 3],
    [7, 1],
    [8, 3],
    [11, 1],
  ]);
});
