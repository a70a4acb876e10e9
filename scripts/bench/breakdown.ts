/**
 * A step's time kernel by kernel: by timestamps where the adapter has usable ones, else by leaving kernels out.
 *
 * Owns the choice and says which one was taken. Next: `timed-shares.ts`, `kernel-shares.ts`.
 */
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { type KernelShare, measureKernelShares } from './kernel-shares.ts';
import { measureTimedShares } from './timed-shares.ts';

export type BreakdownKind = 'timestamps' | 'step';

export const BREAKDOWN_KINDS: readonly BreakdownKind[] = ['timestamps', 'step'];

export interface Breakdown {
  /** How it was measured: `step` = what the step saves without the kernel. */
  readonly by: BreakdownKind;
  readonly kernels: readonly KernelShare[];
}

export interface BreakdownOptions {
  readonly wanted: BreakdownKind;
  readonly rounds: number;
  /** What the step takes. Units: milliseconds. */
  readonly stepMs: number;
}

/** Splits the time of `runStep`, which must do the same in every call. No kernels: it would take too long. */
export async function measureBreakdown(
  device: GpuDevice,
  runStep: () => Promise<unknown>,
  { wanted, rounds, stepMs }: BreakdownOptions,
): Promise<Breakdown> {
  const timed = wanted === 'timestamps' ? await measureTimedShares(device, runStep, rounds, stepMs) : null;
  if (timed !== null) return { by: 'timestamps', kernels: timed };
  return { by: 'step', kernels: await measureKernelShares(runStep, rounds) };
}
