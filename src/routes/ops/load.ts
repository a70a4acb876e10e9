/**
 * `GET /load`: how many sequences the engine has, running and waiting. Source: vLLM's `server_load`.
 */
import type { AppDeps } from '../deps.ts';
import { jsonResponse } from '../responses.ts';

export function load(deps: AppDeps): Response {
  const { numRunning, numWaiting } = deps.engine.stats();
  return jsonResponse({ server_load: Math.max(numRunning + numWaiting, deps.inFlight?.numSequences ?? 0) });
}
