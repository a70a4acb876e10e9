/**
 * JSON and error responses, made in one place so that every route answers alike.
 */
import { type ApiError, toApiError } from '../serving/errors.ts';

export function jsonResponse(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
}

/** Any thrown value as a response. `reportError` hears of those that are our fault. */
export function errorResponse(error: unknown, reportError?: (error: unknown) => void): Response {
  const apiError: ApiError = toApiError(error);
  if (apiError.status >= 500 && apiError.status !== 503) reportError?.(error);
  const headers: Record<string, string> = {};
  if (apiError.retryAfterSeconds !== null) headers['retry-after'] = String(apiError.retryAfterSeconds);
  if (apiError.status === 401) headers['www-authenticate'] = 'Bearer';
  return jsonResponse(apiError.body, apiError.status, headers);
}
