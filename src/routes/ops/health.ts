/**
 * `GET /health` and `GET /ready`: 200 when requests should be sent here, else 503 with the reason. A full queue is no reason.
 */
import { type Readiness, unavailability } from '../accepting.ts';
import { errorResponse, jsonResponse } from '../responses.ts';

export function health(deps: Readiness): Response {
  const problem = unavailability(deps);
  return problem === null ? jsonResponse({ status: 'ok' }) : errorResponse(problem);
}
