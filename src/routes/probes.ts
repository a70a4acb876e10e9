/**
 * A server of probes and figures alone, for a port of its own that need not be reachable by clients.
 */
import { ApiError } from '../serving/errors.ts';
import type { App } from './front.ts';
import { errorResponse } from './responses.ts';

const probePaths = ['/live', '/health', '/ready', '/ping', '/version', '/metrics', '/metrics/routing'];

/** The part of `app` that may be asked without a key. `healthCheckPath`: one more path. */
export function probesOnly(app: Pick<App, 'fetch'>, healthCheckPath: string): Pick<App, 'fetch'> {
  const paths = new Set([...probePaths, healthCheckPath]);
  return {
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (paths.has(pathname)) return app.fetch(request);
      return errorResponse(new ApiError(404, `There is no ${pathname} on this port: it is for probes.`));
    },
  };
}
