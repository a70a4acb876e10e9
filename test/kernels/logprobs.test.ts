import { describe, expect } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { allocateLogprobsScratch, recordLogprobs, recordWords } from '../../src/engine/ops/logprobs.ts';
import { maxTopLogprobs } from '../../src/engine/types.ts';
import { context, gpuTest, randomNumbers, tensor, upload, type Variant } from '../helpers/gpu.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { logprobsReference } from '../reference/logprobs.ts';

const UNTOUCHED = 0xdeadbeef;

/** The last kernel has a shape for GPUs and one for adapters that compute on the CPU. */
const SHAPES = [false, true].map((software) => ({ subgroups: false, f16: false, software }));

/** Top lists and log-sum-exps of rows [numRows, vocab]. */
async function run(device: GpuDevice, logits: Float32Array, vocab: number, wanted: number[], shape: Variant) {
  const numRows = wanted.length;
  const words = recordWords(maxTopLogprobs);
  const ops = context(device, shape);
  const scratch = allocateLogprobsScratch(device, numRows, vocab);
  const records = upload(device, 'records', new Uint32Array(numRows * words).fill(UNTOUCHED));
  recordLogprobs(ops, {
    logits: tensor(device, 'logits', numRows, vocab, logits),
    vocab,
    numRows,
    numLogprobs: ops.recorder.words(Int32Array.from(wanted)),
    recordWords: words,
    records,
    scratch,
  });
  expect(ops.recorder.numDispatches).toBe(2);
  ops.recorder.submit();
  const bytes = await device.read(records, 0, numRows * words * 4);
  const sums = await device.read(scratch.logSums, 0, numRows * 4);
  return {
    record: (row: number) => new Uint32Array(bytes.buffer, bytes.byteOffset + row * words * 4, words),
    logprobs: (row: number, from: number, count: number) =>
      new Float32Array(bytes.buffer, bytes.byteOffset + (row * words + from) * 4, count),
    logSums: new Float32Array(sums.buffer, sums.byteOffset, numRows),
  };
}

async function check(device: GpuDevice, logits: Float32Array, vocab: number, wanted: number[]) {
  for (const shape of SHAPES) await checkShape(device, logits, vocab, wanted, shape);
}

async function checkShape(device: GpuDevice, logits: Float32Array, vocab: number, wanted: number[], shape: Variant) {
  const got = await run(device, logits, vocab, wanted, shape);
  wanted.forEach((count, row) => {
    const what = `V=${vocab} row ${row}`;
    const record = got.record(row);
    const n = Math.max(count, 0);
    expect([...record.subarray(0, 2), ...record.subarray(2 + 2 * n)].every((word) => word === UNTOUCHED)).toBe(true);
    if (count < 0) return;
    const want = logprobsReference(logits.subarray(row * vocab, (row + 1) * vocab));
    expectClose('logprob', [got.logSums[row] ?? 0], [want.logSum], `${what} log-sum-exp`);
    const top = want.order.slice(0, n);
    expect([...record.subarray(2, 2 + top.length)]).toEqual(top);
    expect([...record.subarray(2 + top.length, 2 + n)].every((id) => id === 0xffffffff)).toBe(true);
    const logprobs = got.logprobs(row, 2 + n, top.length);
    expectClose(
      'logprob',
      logprobs,
      top.map((id) => want.logprobs[id] ?? 0),
      `${what} logprobs`,
      50,
    );
  });
}

/** Ranks and logprobs of one given token per row, in records that begin at `firstRecord`. */
async function checkTargets(device: GpuDevice, logits: Float32Array, vocab: number, targets: number[]) {
  const words = recordWords(2);
  const firstRecord = 3;
  const ops = context(device);
  const numWords = (firstRecord + targets.length) * words;
  const records = upload(device, 'records', new Uint32Array(numWords).fill(UNTOUCHED));
  recordLogprobs(ops, {
    logits: tensor(device, 'logits', targets.length, vocab, logits),
    vocab,
    numRows: targets.length,
    numLogprobs: ops.recorder.words(new Int32Array(targets.length).fill(2)),
    recordWords: words,
    records,
    firstRecord,
    targets: ops.recorder.words(Uint32Array.from(targets)),
    scratch: allocateLogprobsScratch(device, targets.length, vocab),
  });
  ops.recorder.submit();
  const bytes = await device.read(records, 0, numWords * 4);
  const ints = new Uint32Array(bytes.buffer, bytes.byteOffset, numWords);
  const floats = new Float32Array(bytes.buffer, bytes.byteOffset, numWords);
  expect(ints.subarray(0, firstRecord * words).every((word) => word === UNTOUCHED)).toBe(true);
  targets.forEach((target, row) => {
    const want = logprobsReference(logits.subarray(row * vocab, (row + 1) * vocab));
    const at = (firstRecord + row) * words;
    expect(ints[at]).toBe(1 + want.order.indexOf(target));
    expectClose('logprob', [floats[at + 1] ?? 0], [want.logprobs[target] ?? 0], `V=${vocab} token ${target}`, 50);
    expect([...ints.subarray(at + 2, at + 4)]).toEqual(want.order.slice(0, 2));
  });
}

describe('logprobs', () => {
  gpuTest('vocabularies of every size, rows that want lists of every length', async (device) => {
    for (const vocab of [1, 5, 40, 511, 4096, 4097, 5000]) {
      await check(device, randomNumbers(vocab, 5 * vocab, 5), vocab, [20, 0, -1, 1, 7]);
    }
    await check(device, randomNumbers(3, 2 * 150001, 5), 150001, [20, 5]);
  });

  gpuTest('equal logits come in order of ids, also across chunks', async (device) => {
    const vocab = 9000;
    const logits = randomNumbers(1, 2 * vocab, 1).map((x) => Math.round(x * 2));
    logits.fill(0.25, vocab);
    await check(device, logits, vocab, [20, 20]);
  });

  gpuTest('the best tokens may all lie in one block', async (device) => {
    const vocab = 5000;
    const logits = randomNumbers(2, vocab, 1);
    for (let i = 0; i < 16; i++) logits[4096 + (i >> 2) * 256 + (i & 3)] = 20 + ((i * 5) % 16);
    await check(device, logits, vocab, [20]);
  });

  gpuTest('many tokens and blocks as good as the best, in orders that overflow every list', async (device) => {
    const vocab = 151_936;
    const logits = new Float32Array(4 * vocab);
    const noise = randomNumbers(9, vocab, 1);
    for (let id = 0; id < vocab; id++) {
      // Growing, falling, two values, and the best half in whole blocks.
      logits[id] = id / 1024;
      logits[vocab + id] = -id / 1024;
      logits[2 * vocab + id] = id > 70_000 && id % 2 === 0 ? 1 : 0;
      logits[3 * vocab + id] = (noise[id] ?? 0) + (((id >> 2) & 63) < 32 ? 100 : 0);
    }
    await check(device, logits, vocab, [20, 20, 20, 20]);
  });

  gpuTest('the rank and logprob of a given token, ties by id', async (device) => {
    for (const vocab of [2, 511, 5000]) {
      const logits = randomNumbers(vocab, 4 * vocab, 2).map((x) => Math.round(x * 4) / 4);
      await checkTargets(device, logits, vocab, [0, vocab - 1, vocab >> 1, 1]);
    }
  });

  gpuTest('large and masked logits', async (device) => {
    const logits = randomNumbers(6, 511, 1).map((x) => 80 + x * 30);
    logits[5] = -3.0e38;
    logits[6] = -1000;
    await check(device, logits, 511, [20]);
  });
});
