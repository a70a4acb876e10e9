/**
 * A Prometheus histogram: fixed bucket limits, counts, sum. Next: `metrics.ts`, which lists the series.
 */

/** Counts of observations by upper limit. */
export class Histogram {
  private readonly counts: number[];
  private sum = 0;
  private total = 0;

  /** `limits`: ascending upper limits, each inclusive; infinity is implied. */
  constructor(private readonly limits: readonly number[]) {
    this.counts = new Array<number>(limits.length).fill(0);
  }

  observe(value: number): void {
    this.sum += value;
    this.total += 1;
    const bucket = this.limits.findIndex((limit) => value <= limit);
    if (bucket >= 0) this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
  }

  /** Text lines of the series. `labels`: `a="b",c="d"`. */
  lines(name: string, labels: string): string[] {
    const lines: string[] = [];
    let cumulative = 0;
    for (const [bucket, limit] of this.limits.entries()) {
      cumulative += this.counts[bucket] ?? 0;
      lines.push(`${name}_bucket{${labels},le="${limit}"} ${cumulative}`);
    }
    lines.push(`${name}_bucket{${labels},le="+Inf"} ${this.total}`);
    lines.push(`${name}_sum{${labels}} ${this.sum}`, `${name}_count{${labels}} ${this.total}`);
    return lines;
  }
}
