/**
 * Counts of HTTP requests by route, method and status, with their times.
 *
 * Labels are bounded by the caller: it gives the route's pattern, never the path. Source of names: the usual instrumentation of FastAPI,
 * as vLLM has it. Next: `routes/front.ts`, which observes.
 */
import type { Exposition } from './exposition.ts';
import { Histogram } from './histogram.ts';

/** Units: seconds. */
const durationLimits = [0.1, 0.5, 1];

interface RouteFigures {
  readonly handler: string;
  readonly method: string;
  readonly durations: Histogram;
  readonly byStatus: Map<string, number>;
}

export class HttpMetrics {
  private readonly routes = new Map<string, RouteFigures>();

  /** `status` is counted by its class; `seconds` go up to the response's headers. */
  observe(handler: string, method: string, status: number, seconds: number): void {
    const key = `${method} ${handler}`;
    let figures = this.routes.get(key);
    if (figures === undefined) {
      figures = { handler, method, durations: new Histogram(durationLimits), byStatus: new Map() };
      this.routes.set(key, figures);
    }
    figures.durations.observe(seconds);
    const statusClass = `${Math.floor(status / 100)}xx`;
    figures.byStatus.set(statusClass, (figures.byStatus.get(statusClass) ?? 0) + 1);
  }

  writeTo(exposition: Exposition): void {
    const all = [...this.routes.values()];
    exposition.add(
      'counter',
      'http_requests_total',
      'Requests by route, method and class of status.',
      all.flatMap(({ handler, method, byStatus }) =>
        [...byStatus].map(([status, value]) => ({ labels: { handler, method, status }, value })),
      ),
    );
    exposition.addHistogram(
      'http_request_duration_seconds',
      'Time to the headers of the response.',
      all.map(({ handler, method, durations }) => ({ labels: { handler, method }, histogram: durations })),
    );
  }
}
