/**
 * Time as the job service sees it, so that tests can turn the hands.
 */

export interface Clock {
  /** Units: milliseconds since 1970. */
  nowMs(): number;
  /** Calls back once, later. Returns what calls it off. */
  after(ms: number, run: () => void): () => void;
}

/** Longer timers would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

/** The machine's clock; its timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, longestTimerMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
