/**
 * Where a step's time goes, kernel by kernel, by the GPU's own clock: each dispatch of one step stands in a pass of its own.
 *
 * Needs timestamps that are not rounded (a device opened with `profiling`). A dispatch is timed from its begin to its end; the waits between
 * passes are nobody's, so that the parts add up to less than the step. What drivers without a usable clock give is refused.
 * Next: `breakdown.ts` (who chooses), `kernel-shares.ts` (without timestamps), `dispatch-filter.ts`.
 */
import { BufferUsage, type GpuDevice } from '../../src/engine/gpu/device.ts';
import { CHUNK } from '../../src/engine/ops/tensor.ts';
import { wrappingDispatches } from './dispatch-filter.ts';
import { type KernelShare, kernelName } from './kernel-shares.ts';
import { median } from './table.ts';

/** What a query set holds at most. */
const MAX_STAMPS = 4096;
const BYTES_PER_STAMP = 8;
/** Drivers are known to give a few times of 0; with more of them, or one that runs backwards, the clock is of no use. */
const MOST_ZEROS = 0.1;
/** Bytes of a weight by the number that shaders know its format by. */
const WEIGHT_BYTES = [4, 2, 2, 1, 0.5];

/** One timed dispatch. */
export interface TimedDispatch {
  readonly label: string;
  readonly params: Readonly<Record<string, number>> | null;
  readonly ms: number;
}

/**
 * Splits the time of `runStep`, which must do the same in every call; null where the adapter's clock cannot be used or the step has too many
 * dispatches. `stepMs`: what such a step takes otherwise, for the shares.
 */
export async function measureTimedShares(
  device: GpuDevice,
  runStep: () => Promise<unknown>,
  rounds: number,
  stepMs: number,
): Promise<KernelShare[] | null> {
  if (!device.hasTimestamps) return null;
  const all: TimedDispatch[][] = [];
  for (let round = 0; round <= rounds; round++) {
    const timed = await timeDispatches(device, runStep);
    if (timed === null || !isCredible(timed.map(({ ms }) => ms))) return null;
    // The first round makes what it needs, which the others have.
    if (round > 0) all.push(timed);
  }
  const [first = []] = all;
  const medians = first.map((one, i) => ({ ...one, ms: median(all.map((timed) => timed[i]?.ms ?? one.ms)) }));
  return sharesOf(medians, stepMs);
}

/** Whether times may be a clock's: none below zero, and few of zero. */
export function isCredible(times: readonly number[]): boolean {
  const zeros = times.filter((ms) => ms === 0).length;
  return times.length > 0 && times.every((ms) => ms >= 0) && zeros <= MOST_ZEROS * times.length;
}

/** Adds up the dispatches of each kernel and weight; the longest first. */
export function sharesOf(timed: readonly TimedDispatch[], stepMs: number): KernelShare[] {
  const groups = new Map<string, TimedDispatch[]>();
  for (const one of timed) {
    const name = kernelName(one.label, one.params);
    const group = groups.get(name);
    if (group) group.push(one);
    else groups.set(name, [one]);
  }
  const shares = [...groups].map(([kernel, group]): KernelShare => {
    const ms = group.reduce((sum, one) => sum + one.ms, 0);
    const works = group.map(productWork);
    const sumOf = (part: 'bytes' | 'operations') => works.reduce((sum, work) => sum + (work?.[part] ?? 0), 0);
    const rates =
      ms > 0 && works.every((work) => work !== null)
        ? { weightRate: (sumOf('bytes') / ms) * 1000, operationRate: (sumOf('operations') / ms) * 1000 }
        : {};
    return { kernel, numDispatches: group.length, ms, share: ms / stepMs, ...rates };
  });
  return shares.sort((a, b) => b.ms - a.ms);
}

/** What a matrix product must read of its weights and compute; null for other kernels. */
function productWork({ label, params }: TimedDispatch): { bytes: number; operations: number } | null {
  if (!/^matmul-(gemv|rows|tile|matrix|dp4a)\b/.test(label) || params === null) return null;
  const { rows, n, chunks } = params;
  const format = /\bFORMAT=(\d)/.exec(label)?.[1];
  if (rows === undefined || n === undefined || chunks === undefined || format === undefined) return null;
  const weights = n * chunks * CHUNK * (/\bGATED=true/.test(label) ? 2 : 1);
  return { bytes: weights * (WEIGHT_BYTES[Number(format)] ?? 0), operations: 2 * rows * weights };
}

async function timeDispatches(device: GpuDevice, runStep: () => Promise<unknown>): Promise<TimedDispatch[] | null> {
  const querySet = device.opened.device.createQuerySet({ type: 'timestamp', count: MAX_STAMPS });
  const stamps = device.createBuffer('stamps', MAX_STAMPS * BYTES_PER_STAMP, BufferUsage.queryResolve);
  const dispatches: Omit<TimedDispatch, 'ms'>[] = [];
  try {
    await wrappingDispatches((recorder, { label }, params, record) => {
      const at = 2 * dispatches.length;
      dispatches.push({ label, params: params && { ...params } });
      if (at + 2 > MAX_STAMPS) record();
      else recorder.inTimedPass({ querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 }, record);
    }, runStep);
    const count = 2 * dispatches.length;
    if (count === 0 || count > MAX_STAMPS) return null;
    const encoder = device.opened.device.createCommandEncoder({ label: 'stamps' });
    encoder.resolveQuerySet(querySet, 0, count, stamps.raw, 0);
    const bytes = await device.submitAndRead(encoder, [], stamps, 0, count * BYTES_PER_STAMP);
    const values = new BigInt64Array(bytes.buffer, bytes.byteOffset, count);
    const msOf = (i: number) => Number((values[2 * i + 1] ?? 0n) - (values[2 * i] ?? 0n)) / 1e6;
    return dispatches.map((one, i) => ({ ...one, ms: msOf(i) }));
  } finally {
    querySet.destroy();
    device.destroyBuffer(stamps);
  }
}
