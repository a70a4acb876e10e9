/**
 * Counts tests from the JUnit report of a run.
 *
 * Pure. Owns the rule that a run which ended badly is never counted as good: no report, or a bad exit status without a
 * failed test (a crash, an error between tests), is one failure.
 */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * The counts of one run.
 * @param report the JUnit file's text; null when the run wrote none
 * @param status the run's exit status; null when a signal ended it
 */
export function countsOf(report: string | null, status: number | null): Counts {
  const suites = report === null ? undefined : /<testsuites\b[^>]*>/.exec(report)?.[0];
  if (suites === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const number = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suites)?.[1] ?? 0);
  const [tests, skipped] = [number('tests'), number('skipped')];
  const failed = number('failures') + number('errors');
  const passed = Math.max(0, tests - failed - skipped);
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed, skipped };
}

export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/** `12 passed, 0 failed`, with the skipped ones where there are any. */
export function summary({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
