/**
 * Every way a request can fail, as OpenAI's error object with its HTTP status.
 *
 * Owns the wording of types and codes and the mapping from engine and template errors. Knows no HTTP library.
 * Next: `schema/wire.ts` (schema issues -> these), `routes/app.ts` (these -> responses).
 */
import type { EngineError, EngineErrorCode } from '../engine/types.ts';
import { ChatTemplateError } from '../text/chat-template.ts';

/** The body that OpenAI's clients expect. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The bare path of the field at fault: `max_tokens`, `messages[0].role`. */
    readonly param: string | null;
    /** The HTTP status. */
    readonly code: number;
  };
}

/** Name of the error's class on the wire, by status. */
const typeByStatus: Readonly<Record<number, string>> = {
  400: 'BadRequestError',
  401: 'AuthenticationError',
  404: 'NotFoundError',
  408: 'RequestTimeoutError',
  413: 'PayloadTooLargeError',
  500: 'InternalServerError',
  503: 'ServiceUnavailableError',
};

/** A failure that the client is told about. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    message: string,
    readonly param: string | null = null,
    /** When to come back. Units: seconds. */
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(message);
  }

  /** Source: `code` is the integer status, as vLLM sends it. */
  get body(): ErrorBody {
    const type = typeByStatus[this.status] ?? (this.status < 500 ? 'BadRequestError' : 'InternalServerError');
    return { error: { message: this.message, type, param: this.param, code: this.status } };
  }
}

export function badRequest(message: string, param: string | null = null): ApiError {
  return new ApiError(400, message, param);
}

export function modelNotFound(model: string): ApiError {
  return new ApiError(404, `The model \`${model}\` does not exist.`, 'model');
}

/** The server cannot take the request now but will be able to later. */
export function unavailable(message: string, retryAfterSeconds: number = defaultRetryAfterSeconds): ApiError {
  return new ApiError(503, message, null, retryAfterSeconds);
}

const defaultRetryAfterSeconds = 5;

/** 503 is for capacity and draining alone; what broke on our side is 500. */
const statusByEngineCode: Readonly<Record<EngineErrorCode, number>> = {
  'engine-dead': 500,
  'device-lost': 500,
  'gpu-error': 500,
  'load-failed': 500,
  overloaded: 503,
  draining: 503,
  'invalid-request': 400,
};

/** Any thrown value as an {@link ApiError}. Unexpected ones keep their text to themselves: it may name paths. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ChatTemplateError) return badRequest(error.message, 'messages');
  if (isEngineError(error)) {
    const status = statusByEngineCode[error.code];
    return status === 503 ? unavailable(error.message) : new ApiError(status, error.message);
  }
  return new ApiError(500, 'Internal server error.');
}

/** By shape, because the error may have been made in another copy of the module. */
function isEngineError(error: unknown): error is EngineError {
  return error instanceof Error && error.name === 'EngineError' && (error as EngineError).code in statusByEngineCode;
}
