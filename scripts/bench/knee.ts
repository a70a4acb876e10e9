/**
 * Where more load no longer pays: the last level before throughput stops growing or answers become too slow.
 *
 * Pure. Next: `scenario-serve.ts`.
 */

export interface LoadLevel {
  readonly streams: number;
  readonly tokensPerSecond: number;
  /** Answers within the limits. Units: per second. */
  readonly goodput: number;
}

/** Throughput must grow at least so much from level to level for more load to pay. */
const LEAST_GAIN = 1.1;

/** Whether `next` shows that the level before was the knee. */
export function isPastKnee(before: LoadLevel, next: LoadLevel): boolean {
  return next.tokensPerSecond < before.tokensPerSecond * LEAST_GAIN || next.goodput < before.goodput;
}

/** The knee of levels in rising order; null when the last one still paid. */
export function kneeOf<Level extends LoadLevel>(levels: readonly Level[]): Level | null {
  for (let i = 1; i < levels.length; i++) {
    const [before, next] = [levels[i - 1], levels[i]];
    if (before && next && isPastKnee(before, next)) return before;
  }
  return null;
}
