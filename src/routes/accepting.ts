/**
 * Whether the server can take a request that needs the model. Next: `ops/health.ts`, which reports the same state.
 */
import type { EngineState } from '../engine/types.ts';
import { type ApiError, unavailable } from '../serving/errors.ts';
import type { ServingContext } from '../serving/to-engine.ts';
import type { AppDeps } from './deps.ts';

const reasons: Readonly<Record<Exclude<EngineState, 'ready'>, string>> = {
  loading: 'The model is being loaded.',
  restarting: 'The engine is restarting.',
  failed: 'The engine has failed.',
  closed: 'The engine is closed.',
};

/** Why no generation can start now, or null. */
export function unreadiness(deps: AppDeps): ApiError | null {
  if (deps.isDraining()) return unavailable('The server is shutting down.');
  const { state } = deps.engine;
  return state === 'ready' ? null : unavailable(reasons[state]);
}

/** What translation needs. Throws: ApiError 503 while the server takes nothing. */
export function servingContext(deps: AppDeps): ServingContext {
  const problem = unreadiness(deps);
  if (problem !== null) throw problem;
  return { model: deps.model, settings: deps.settings, info: deps.engine.info };
}
