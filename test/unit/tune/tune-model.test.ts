import { expect } from 'bun:test';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tuneModel } from '../../../src/engine/tune/tune-model.ts';
import { gpuTest } from '../../helpers/gpu.ts';

gpuTest('nothing is measured on a software adapter, nor where it is switched off', async (device) => {
  const folder = await mkdtemp(join(tmpdir(), 'tuning-'));
  const untouched = new Proxy({}, { get: () => expect.unreachable() }) as never;
  if (device.adapter.isSoftware) {
    const plans = await tuneModel(device, untouched, { folder, maxRows: 4 });
    expect(plans.lookup('gemv', 'f32', 8, 8, 1)).toBeNull();
  }
  const plans = await tuneModel(device, untouched, { folder: null, maxRows: 4 });
  expect(plans.lookup('gemv', 'f32', 8, 8, 1)).toBeNull();
  expect(await readdir(folder)).toEqual([]);
  await rm(folder, { recursive: true });
});
