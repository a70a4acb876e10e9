/**
 * `GET /metrics` in Prometheus' text format. The series are listed in `serving/metrics.ts`.
 */
import type { AppDeps } from '../deps.ts';

export function metrics(deps: AppDeps): Response {
  const text = deps.metrics.render(deps.settings.servedModelNames[0] ?? '', deps.engine.stats());
  return new Response(text, { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } });
}
