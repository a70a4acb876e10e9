/**
 * The routes before there is a model: probes say that it is being loaded, everything else asks the client to come back.
 *
 * So that the port is open from the first moment on, while files are still being downloaded. Next: `app.ts`, which takes over.
 */

import { emptyStats } from '../engine/index.ts';
import type { EngineInfo } from '../engine/types.ts';
import { unavailable } from '../serving/errors.ts';
import { unavailability } from './accepting.ts';
import { isMessagesPath, messagesErrorResponse } from './anthropic/messages.ts';
import { createAuthorize } from './auth.ts';
import type { AppDeps } from './deps.ts';
import { type App, withFront } from './front.ts';
import { health } from './ops/health.ts';
import { metrics, routingMetrics } from './ops/metrics.ts';
import { ping } from './ops/ping.ts';
import { version } from './ops/version.ts';
import { errorResponse, jsonResponse } from './responses.ts';
import { RoutePatterns } from './route-patterns.ts';

export type BootDeps = Pick<AppDeps, 'settings' | 'isDraining' | 'metrics'>;

/** The part of an engine that probes look at. */
const noEngine = {
  state: 'loading' as const,
  stats: () => emptyStats,
  get info(): EngineInfo {
    throw unavailable('The model is being loaded.');
  },
};

export function createBootApp(given: BootDeps): App {
  const deps = { ...given, engine: noEngine };
  const authorize = createAuthorize(deps.settings.apiKeys);
  const open: Readonly<Record<string, () => Response>> = {
    '/live': () => jsonResponse({ status: 'ok' }),
    '/health': () => health(deps),
    '/ready': () => health(deps),
    '/ping': () => ping(deps),
    '/version': () => version(deps),
    '/metrics': () => metrics(deps),
    '/metrics/routing': () => routingMetrics(deps),
  };
  const handle = async (request: Request): Promise<Response> => {
    const path = new URL(request.url).pathname;
    const respond = isMessagesPath(path) ? messagesErrorResponse : errorResponse;
    try {
      const answer = Object.hasOwn(open, path) ? open[path] : undefined;
      if (answer !== undefined) return answer();
      authorize(request);
      return respond(unavailability(deps) ?? unavailable('The model is being loaded.'));
    } catch (error) {
      return respond(error);
    }
  };
  return withFront({ handle }, new RoutePatterns(Object.keys(open)), deps);
}
