/**
 * A Prometheus histogram: fixed bucket limits, counts, sum. Next: `metrics.ts`, which lists the series.
 */

/** Counts of observations by upper limit. */
export class Histogram {
  private counts: number[];
  private sum = 0;
  private total = 0;

  /** `limits`: ascending upper limits, each inclusive; infinity is implied. */
  constructor(private readonly limits: readonly number[]) {
    this.counts = new Array<number>(limits.length).fill(0);
  }

  observe(value: number, times = 1): void {
    this.sum += value * times;
    this.total += times;
    const bucket = this.limits.findIndex((limit) => value <= limit);
    if (bucket >= 0) this.counts[bucket] = (this.counts[bucket] ?? 0) + times;
  }

  /** Takes over what was counted elsewhere. `counts`: one for each limit and one for what is above all of them. */
  replace(counts: readonly number[], sum: number): void {
    this.counts = this.limits.map((_, bucket) => counts[bucket] ?? 0);
    this.total = counts.reduce((all, count) => all + count, 0);
    this.sum = sum;
  }

  /** Text lines of the series. `labels`: `a="b",c="d"`. Limits above `maxLimit` are left out. */
  lines(name: string, labels: string, maxLimit: number = Number.POSITIVE_INFINITY): string[] {
    const lines: string[] = [];
    const before = labels === '' ? '' : `${labels},`;
    let cumulative = 0;
    for (const [bucket, limit] of this.limits.entries()) {
      cumulative += this.counts[bucket] ?? 0;
      if (limit <= maxLimit) lines.push(`${name}_bucket{${before}le="${limit}"} ${cumulative}`);
    }
    lines.push(`${name}_bucket{${before}le="+Inf"} ${this.total}`);
    lines.push(`${name}_sum{${labels}} ${this.sum}`, `${name}_count{${labels}} ${this.total}`);
    return lines;
  }
}
