/**
 * Failures in the shape of the Messages API. Source: Anthropic's list of error types.
 */
import type { ApiError } from '../errors.ts';

export interface MessageErrorBody {
  readonly type: 'error';
  readonly error: { readonly type: string; readonly message: string };
}

/** Statuses that are not listed are ours when they are 500 or more, else the client's. */
const typeByStatus: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
};

/** There is no field of its own for the field at fault: the message names it. */
export function messageErrorBody(error: ApiError): MessageErrorBody {
  const type = typeByStatus[error.status] ?? (error.status < 500 ? 'invalid_request_error' : 'api_error');
  return { type: 'error', error: { type, message: error.message } };
}
