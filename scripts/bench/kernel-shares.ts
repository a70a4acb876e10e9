/**
 * Where a step's time goes, kernel by kernel: the step is run again without one kernel, and what is missing then was its time.
 *
 * Works on every adapter, since it needs no timestamps, and counts what a kernel costs among the others: its reads from memory and the
 * wait before it. What the kernels share, such as an upload, is nobody's. Next: `timed-shares.ts` (the same by the GPU's clock),
 * `dispatch-filter.ts`.
 */
import type { Kernel } from '../../src/engine/gpu/kernel.ts';
import { CHUNK } from '../../src/engine/ops/tensor.ts';
import { filteringDispatches } from './dispatch-filter.ts';

export interface KernelShare {
  /** The shader's name, and the weight's shape where it has one. */
  readonly kernel: string;
  readonly numDispatches: number;
  /** In one step, all its dispatches together. */
  readonly ms: number;
  /** Of the step. */
  readonly share: number;
  /** Rates of its products, where the weights' shape is known. Units: bytes of weights and operations per second. */
  readonly weightRate?: number;
  readonly operationRate?: number;
}

/** What a dispatch is counted as. */
export function kernelName(label: string, params: Readonly<Record<string, number>> | null): string {
  const name = label.replace(/\(.*/, '');
  const isGated = /GATED=true/.test(label);
  const { n, chunks } = params ?? {};
  return n !== undefined && chunks !== undefined ? `${name}${isGated ? ' gated' : ''} ${n} x ${chunks * CHUNK}` : name;
}

/** A breakdown that would take longer than this is made in fewer rounds, or not at all. */
const BUDGET_MS = 15_000;

/**
 * Splits the time of `runStep`, which must do the same in every call; empty when that takes too long.
 * `mostRounds`: of the whole step and of each without a kernel.
 * The shortest times are compared, because other work on the machine only lengthens them.
 */
export async function measureKernelShares(runStep: () => Promise<unknown>, mostRounds: number): Promise<KernelShare[]> {
  const counts = new Map<string, number>();
  await filteringDispatches((kernel, params) => {
    const name = kernelName(kernel.label, params);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    return true;
  }, runStep);
  const names = [...counts.keys()];
  const whole: number[] = [await timeOf(runStep, null)];
  const rounds = Math.min(mostRounds, Math.floor(BUDGET_MS / ((names.length + 1) * Math.min(...whole))));
  if (rounds < 1) return [];
  const without = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    whole.push(await timeOf(runStep, null));
    // They take turns, so that what else the machine does falls on all of them alike.
    for (const name of names) without.get(name)?.push(await timeOf(runStep, name));
  }
  const wholeMs = Math.min(...whole);
  return names
    .map((kernel): KernelShare => {
      const ms = Math.max(0, wholeMs - Math.min(...(without.get(kernel) ?? [])));
      return { kernel, numDispatches: counts.get(kernel) ?? 0, ms, share: ms / wholeMs };
    })
    .sort((a, b) => b.ms - a.ms);
}

async function timeOf(runStep: () => Promise<unknown>, leftOut: string | null): Promise<number> {
  const filter = (kernel: Kernel, params: Readonly<Record<string, number>> | null) =>
    leftOut === null || kernelName(kernel.label, params) !== leftOut;
  const startMs = performance.now();
  await filteringDispatches(filter, runStep);
  return performance.now() - startMs;
}
