/**
 * Tests that need subgroup matrices with f16 operands and f32 sums; skipped visibly where the adapter has none, which is a failure with
 * `REQUIRE_MATRIX=1`.
 */
import { test } from 'bun:test';
import { chooseMatrixConfig } from '../../src/engine/gpu/binding.ts';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { gpu } from './gpu.ts';

/** The matrices that kernels use on this adapter. */
export const matrixConfig = gpu ? chooseMatrixConfig(gpu.subgroupMatrixConfigs) : null;
if (!matrixConfig && process.env.REQUIRE_MATRIX === '1') {
  throw new Error('REQUIRE_MATRIX=1, but the adapter has no f16 matrices');
}

/** A test on a device with matrices. */
export function matrixTest(name: string, run: (device: GpuDevice) => Promise<void>): void {
  const device = gpu;
  if (device && matrixConfig) test(name, () => run(device));
  else test.skip(`${name} (no subgroup matrices)`, () => {});
}
