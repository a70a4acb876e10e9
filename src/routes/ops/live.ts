/**
 * `GET /live`: whether the process is worth keeping. Overload, loading and draining are no reasons to end it; a dead engine is, and one
 * that has work and finishes no step.
 */
import type { EngineState, EngineStats } from '../../engine/types.ts';
import { unavailable } from '../../serving/errors.ts';
import type { AppDeps } from '../deps.ts';
import { errorResponse, jsonResponse } from '../responses.ts';

/** A step may take long on a slow device, a first one with its pipelines most of all. */
const stalledAfterMs = 180_000;

/** Notices an engine that is busy without progress. Measures only between looks, so that it costs nothing in between. */
export class ProgressWatch {
  private numSteps = -1;
  private sinceMs = 0;

  /** `now`: milliseconds of a clock that never goes back. */
  constructor(private readonly now: () => number) {}

  /** Whether the engine had work and finished no step for too long, as of this look and those before. */
  isStalled(state: EngineState, stats: EngineStats): boolean {
    const isBusy = state === 'ready' && stats.numRunning + stats.numWaiting > 0;
    if (!isBusy || stats.numSteps !== this.numSteps) {
      this.numSteps = isBusy ? stats.numSteps : -1;
      this.sinceMs = this.now();
      return false;
    }
    return this.now() - this.sinceMs >= stalledAfterMs;
  }
}

export function live(deps: AppDeps, watch: ProgressWatch): Response {
  const { state } = deps.engine;
  if (state === 'failed') return errorResponse(unavailable('The engine has failed.'));
  if (watch.isStalled(state, deps.engine.stats())) {
    return errorResponse(unavailable('The engine has work and makes no progress.'));
  }
  return jsonResponse({ status: 'ok' });
}
