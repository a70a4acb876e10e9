/**
 * The signals that end a server, told apart from their echoes.
 *
 * Ctrl-C goes to all processes of a terminal, and package managers pass it on: the same signal then comes twice within moments.
 */

/** Another signal within this time is the same one again. Units: milliseconds. */
const echoMs = 1000;

export type StopSignal = 'SIGINT' | 'SIGTERM';

/** Where signals come from: the process, or a test. */
export interface SignalSource {
  on(signal: StopSignal, listener: () => void): unknown;
}

/** Calls `first` once, and `again` when somebody insists. `nowMs`: a clock that never goes back. */
export function onStopSignal(
  source: SignalSource,
  handlers: { first(signal: StopSignal): void; again(): void },
  nowMs: () => number,
): void {
  let lastMs: number | null = null;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    source.on(signal, () => {
      const atMs = nowMs();
      const isFirst = lastMs === null;
      const isEcho = lastMs !== null && atMs - lastMs < echoMs;
      lastMs = atMs;
      if (isFirst) handlers.first(signal);
      else if (!isEcho) handlers.again();
    });
  }
}
