/**
 * `GET /metrics` in Prometheus' text format, and `GET /metrics/routing` with what a router needs alone.
 *
 * The series are listed in `serving/metrics.ts` and `serving/engine-series.ts`.
 */
import type { Engine } from '../../engine/types.ts';
import type { EngineView } from '../../serving/engine-series.ts';
import { renderRouting } from '../../serving/metrics.ts';
import type { AppDeps } from '../deps.ts';

/** What the pages are made of. */
export type Measured = Pick<AppDeps, 'metrics' | 'settings' | 'inFlight'> & {
  readonly engine: Pick<Engine, 'state' | 'info' | 'stats'>;
};

export function metrics(deps: Measured): Response {
  return textResponse(deps.metrics.render(modelName(deps), engineView(deps)));
}

export function routingMetrics(deps: Measured): Response {
  return textResponse(renderRouting(modelName(deps), engineView(deps)));
}

function modelName({ settings }: Measured): string {
  return settings.servedModelNames[0] ?? '';
}

function engineView({ engine, inFlight }: Measured): EngineView {
  return {
    stats: engine.stats(),
    info: engine.state === 'ready' ? engine.info : null,
    numSequences: inFlight?.numSequences ?? 0,
    rejections: inFlight?.numRejections ?? { requests: 0, tokens: 0 },
    nowSeconds: Math.floor(Date.now() / 1000),
  };
}

function textResponse(text: string): Response {
  return new Response(text, { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } });
}
