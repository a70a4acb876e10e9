/**
 * One translation serves several APIs: what goes wrong in it is told with the field names of the API that the client speaks.
 */
import { ApiError, toApiError } from './errors.ts';

/** Field of the chat request -> field of the client's own request. */
export type FieldNames = Readonly<Record<string, string>>;

/** Runs `translate`. Throws: what it throws, refusals with the client's field names. */
export async function withFieldNames<T>(names: FieldNames, translate: () => Promise<T> | T): Promise<T> {
  try {
    return await translate();
  } catch (error) {
    const apiError = toApiError(error);
    // Other failures keep their own identity, so that they are reported with their stack.
    throw apiError.status === 400 ? renamed(apiError, names) : error;
  }
}

function renamed(error: ApiError, names: FieldNames): ApiError {
  let { message } = error;
  for (const [inner, outer] of Object.entries(names)) message = message.replaceAll(`\`${inner}\``, `\`${outer}\``);
  const param = error.param === null ? null : (names[error.param] ?? error.param);
  return new ApiError(error.status, message, param, error.retryAfterSeconds);
}
