/**
 * `GET /version`.
 */
import type { AppDeps } from '../deps.ts';
import { jsonResponse } from '../responses.ts';

export function version(deps: Pick<AppDeps, 'settings'>): Response {
  return jsonResponse({ version: deps.settings.version });
}
