/**
 * A driver that gets shaders wrong: while a test runs, the text of some kernels is not what the project wrote.
 */
import { spyOn } from 'bun:test';
import { GpuDevice } from '../../src/engine/gpu/device.ts';
import type { KernelSource } from '../../src/engine/gpu/kernel-cache.ts';

/** Text that stands in for another one, wherever it is found. */
export type Edit = readonly [from: string, to: string];

const original = GpuDevice.prototype.kernel;

/** Runs with kernels edited as `editOf` says; null = left alone. */
export async function withWrongShaders(
  editOf: (source: KernelSource) => Edit | null,
  run: () => Promise<void>,
): Promise<void> {
  const spy = spyOn(GpuDevice.prototype, 'kernel').mockImplementation(function (this: GpuDevice, source) {
    const edit = editOf(source);
    if (!edit) return original.call(this, source);
    const texts = Object.entries(source.sources).map(([name, text]) => [name, text.replaceAll(...edit)]);
    return original.call(this, { ...source, sources: Object.fromEntries(texts) as Record<string, string> });
  });
  try {
    await run();
  } finally {
    spy.mockRestore();
  }
}
