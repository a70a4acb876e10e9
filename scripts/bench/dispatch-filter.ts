/**
 * Looks at every dispatch that a benchmark records, and leaves out those it does not want.
 *
 * Owns the one place where the recorder is changed, for as long as a call lasts. Next: `kernel-shares.ts`.
 */
import type { Kernel } from '../../src/engine/gpu/kernel.ts';
import { Recorder } from '../../src/engine/gpu/recorder.ts';

/** Whether a dispatch is recorded. */
export type DispatchFilter = (kernel: Kernel, params: Readonly<Record<string, number>> | null) => boolean;

/** Runs `body` with only those dispatches that the filter lets through. Mutates: all recorders, until `body` has ended. */
export async function filteringDispatches<T>(filter: DispatchFilter, body: () => Promise<T>): Promise<T> {
  const { dispatch: original, replay } = Recorder.prototype;
  Recorder.prototype.replay = (_key, record) => record();
  Recorder.prototype.dispatch = function (this: Recorder, kernel, buffers, params, x, y = 1, z = 1) {
    if (x === 0 || y === 0 || z === 0 || !filter(kernel, params)) return;
    original.call(this, kernel, buffers, params, x, y, z);
  };
  try {
    return await body();
  } finally {
    Recorder.prototype.dispatch = original;
    Recorder.prototype.replay = replay;
  }
}

/** Dispatches that `body` records. */
export async function countDispatches(body: () => Promise<unknown>): Promise<number> {
  let count = 0;
  await filteringDispatches(() => {
    count++;
    return true;
  }, body);
  return count;
}
