/**
 * Prometheus' text format, version 0.0.4: names, help, labels, values.
 *
 * Knows no series. Next: `metrics.ts`, `http-metrics.ts`.
 */
import type { Histogram } from './histogram.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** Collects series and gives them as text. Mutates: itself. */
export class Exposition {
  private readonly lines: string[] = [];

  /** `common`: on every sample, before its own. Without help the text is a third shorter. */
  constructor(
    private readonly common: Labels,
    private readonly hasHelp = true,
  ) {}

  /** The name of a counter ends in `_total`. */
  add(kind: 'gauge' | 'counter', name: string, help: string, samples: readonly Sample[]): void {
    this.head(name, kind, help);
    for (const { labels, value } of samples) this.lines.push(`${name}{${this.text(labels)}} ${value}`);
  }

  /** `maxLimit`: buckets with a higher upper limit are left out; what they count is in the one without limit. */
  addHistogram(
    name: string,
    help: string,
    histograms: readonly { readonly labels?: Labels; readonly histogram: Histogram }[],
    maxLimit: number = Number.POSITIVE_INFINITY,
  ): void {
    this.head(name, 'histogram', help);
    for (const { labels, histogram } of histograms) {
      this.lines.push(...histogram.lines(name, this.text(labels), maxLimit));
    }
  }

  toString(): string {
    return `${this.lines.join('\n')}\n`;
  }

  private head(name: string, kind: string, help: string): void {
    if (this.hasHelp) this.lines.push(`# HELP ${name} ${help}`);
    this.lines.push(`# TYPE ${name} ${kind}`);
  }

  private text(labels: Labels = {}): string {
    return Object.entries({ ...this.common, ...labels })
      .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
      .join(',');
  }
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
