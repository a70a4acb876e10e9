/**
 * Waiting, so that tests need not wait, and the lengths of waits between attempts.
 */

export interface Pace {
  /** Resolves after the time or when the signal fires, whichever comes first. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemPace: Pace = {
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const timer = setTimeout(end, ms);
      function end(): void {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        resolve();
      }
      signal?.addEventListener('abort', end, { once: true });
    }),
};

/** 2, 3, 5, 8, ... seconds, up to a limit. Units: milliseconds. */
export function* fibonacciMs(limitMs: number): Generator<number, never, undefined> {
  let [previous, current] = [1000, 2000];
  for (;;) {
    yield Math.min(current, limitMs);
    [previous, current] = [current, Math.min(previous + current, limitMs)];
  }
}
