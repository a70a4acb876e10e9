/**
 * `GET` and `POST /ping`, for load balancers that know three states: 200 ready, 204 still loading, 503 neither.
 */
import { type Readiness, unavailability } from '../accepting.ts';
import { errorResponse } from '../responses.ts';

export function ping(deps: Readiness): Response {
  const problem = unavailability(deps);
  if (problem === null) return new Response(null, { status: 200 });
  // A server that is going down while it loads will never be ready.
  const isLoading = deps.engine.state === 'loading' && !deps.isDraining();
  return isLoading ? new Response(null, { status: 204 }) : errorResponse(problem);
}
