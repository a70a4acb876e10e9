/**
 * Whether the server can take a request that needs the model. Next: `ops/health.ts`, which reports the same state.
 */
import type { Engine, EngineState } from '../engine/types.ts';
import { type ApiError, unavailable } from '../serving/errors.ts';
import type { ServingContext } from '../serving/to-engine.ts';
import type { AppDeps } from './deps.ts';

const reasons: Readonly<Record<Exclude<EngineState, 'ready'>, string>> = {
  loading: 'The model is being loaded.',
  restarting: 'The engine is restarting.',
  failed: 'The engine has failed.',
  closed: 'The engine is closed.',
};

/** What readiness depends on. */
export type Readiness = Pick<AppDeps, 'isDraining' | 'isClosing'> & { readonly engine: Pick<Engine, 'state'> };

/** Why no generation can start now, or null. */
export function unreadiness(deps: Readiness): ApiError | null {
  if (deps.isClosing?.() ?? deps.isDraining()) return shuttingDown();
  const { state } = deps.engine;
  return state === 'ready' ? null : unavailable(reasons[state]);
}

/** Why balancers should send nothing here, or null. Comes before {@link unreadiness} when the server goes down, so that nobody is refused. */
export function unavailability(deps: Readiness): ApiError | null {
  return deps.isDraining() ? shuttingDown() : unreadiness(deps);
}

export function shuttingDown(): ApiError {
  return unavailable('The server is shutting down.');
}

/** What translation needs. Throws: ApiError 503 while the server takes nothing. */
export function servingContext(deps: AppDeps): ServingContext {
  const problem = unreadiness(deps);
  if (problem !== null) throw problem;
  return { model: deps.model, settings: deps.settings, info: deps.engine.info };
}
