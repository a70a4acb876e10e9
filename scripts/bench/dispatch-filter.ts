/**
 * Looks at every dispatch that a benchmark records, and leaves out those it does not want.
 *
 * Owns the one place where the recorder is changed, for as long as a call lasts. Next: `kernel-shares.ts`, `timed-shares.ts`.
 */
import type { Kernel } from '../../src/engine/gpu/kernel.ts';
import { Recorder } from '../../src/engine/gpu/recorder.ts';

/** Whether a dispatch is recorded. */
export type DispatchFilter = (kernel: Kernel, params: Readonly<Record<string, number>> | null) => boolean;

/** Runs `body` with only those dispatches that the filter lets through. Mutates: all recorders, until `body` has ended. */
export function filteringDispatches<T>(filter: DispatchFilter, body: () => Promise<T>): Promise<T> {
  return wrappingDispatches((_recorder, kernel, params, record) => {
    if (filter(kernel, params)) record();
  }, body);
}

/** Gets each dispatch as a function that records it. */
export type DispatchWrapper = (
  recorder: Recorder,
  kernel: Kernel,
  params: Readonly<Record<string, number>> | null,
  record: () => void,
) => void;

/** Runs `body`, whose dispatches are recorded as `wrapper` does it. Mutates: as {@link filteringDispatches}. */
export async function wrappingDispatches<T>(wrapper: DispatchWrapper, body: () => Promise<T>): Promise<T> {
  const { dispatch: original, replay } = Recorder.prototype;
  Recorder.prototype.replay = (_key, record) => record();
  Recorder.prototype.dispatch = function (this: Recorder, kernel, buffers, params, x, y = 1, z = 1) {
    if (x === 0 || y === 0 || z === 0) return;
    wrapper(this, kernel, params, () => original.call(this, kernel, buffers, params, x, y, z));
  };
  try {
    return await body();
  } finally {
    Recorder.prototype.dispatch = original;
    Recorder.prototype.replay = replay;
  }
}

/** What `body` records. */
export interface RecordedDispatches {
  readonly count: number;
  /** Of their kernels. */
  readonly labels: ReadonlySet<string>;
}

/** Runs `body` and looks at its dispatches. */
export async function recordedDispatches(body: () => Promise<unknown>): Promise<RecordedDispatches> {
  const labels = new Set<string>();
  let count = 0;
  await filteringDispatches((kernel) => {
    count++;
    labels.add(kernel.label);
    return true;
  }, body);
  return { count, labels };
}
