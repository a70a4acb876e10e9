/**
 * `GET /health`: 200 when a generation could start now, else 503 with the reason.
 */
import { unreadiness } from '../accepting.ts';
import type { AppDeps } from '../deps.ts';
import { errorResponse, jsonResponse } from '../responses.ts';

export function health(deps: AppDeps): Response {
  const problem = unreadiness(deps);
  return problem === null ? jsonResponse({ status: 'ok' }) : errorResponse(problem);
}
