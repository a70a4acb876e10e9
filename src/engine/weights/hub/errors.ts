/**
 * What can go wrong between a Hub id and a folder on disk, as one error type with a code and advice.
 *
 * Owns the codes, the sentences for the user, and the reading of the Hub's error answers.
 * Must not know about retries or files. Next: `request.ts` (which answers are tried again).
 */

export type HubErrorCode =
  | 'gated' // the licence must be accepted first
  | 'unauthorized' // the token is wrong or may not read this
  | 'not-found' // no such model, folder or file (or a private one)
  | 'revision-not-found'
  | 'unsupported' // the repository holds nothing that can be loaded
  | 'offline' // not in the cache, and the network may not be asked
  | 'network' // no useful answer after all retries
  | 'integrity' // size or hash differs from what the Hub announced
  | 'disk'; // no space left, or the cache cannot be written

/** An error whose message says what failed and what to do about it. */
export class HubError extends Error {
  override readonly name = 'HubError';
  constructor(
    readonly code: HubErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a request was about; the messages need it. */
export interface HubSubject {
  readonly endpoint: string;
  readonly id: string;
  readonly revision: string;
  /** A file of the repository, or null for the repository itself. */
  readonly file: string | null;
  readonly hasToken: boolean;
}

/**
 * The error for a 4xx or 5xx answer of the Hub.
 * Source: the codes of the `X-Error-Code` header; an unknown and a private repository both answer 401 without a code.
 */
export async function errorFromResponse(response: Response, subject: HubSubject): Promise<HubError> {
  const said = await readMessage(response);
  const errorCode = response.headers.get('x-error-code');
  const { endpoint, id, revision, file, hasToken } = subject;
  const page = `${endpoint}/${id}`;
  const quote = said === '' ? '' : ` The Hub says: ${said}`;
  const { status } = response;

  if (errorCode === 'GatedRepo') {
    const advice = hasToken
      ? `Accept its licence at ${page} with the account of your HF_TOKEN, and wait for approval if it asks for one.`
      : `Accept its licence at ${page}, then set HF_TOKEN to a token of that account.`;
    return new HubError('gated', `${id} is a gated model. ${advice}${quote}`);
  }
  if (errorCode === 'RevisionNotFound') {
    return new HubError(
      'revision-not-found',
      `${id} has no revision "${revision}". Set MODEL_REVISION to a branch, tag or commit from ${page}/commits.`,
    );
  }
  if (errorCode === 'EntryNotFound') {
    return new HubError('not-found', `${id} has no file "${file ?? ''}" at revision "${revision}".`);
  }
  if (status === 401 && /invalid credentials/i.test(said)) {
    return new HubError(
      'unauthorized',
      `The Hub refuses HF_TOKEN. Make a new token at ${endpoint}/settings/tokens.${quote}`,
    );
  }
  if (status === 401 || status === 404) {
    const advice = hasToken
      ? 'Check the spelling, and that HF_TOKEN may read it.'
      : 'Check the spelling; if it is private, set HF_TOKEN.';
    return new HubError('not-found', `There is no model "${id}" at ${endpoint}, or it is private. ${advice}`);
  }
  if (status === 403) {
    return new HubError(
      'unauthorized',
      `The Hub does not let you read ${id}. Check what your HF_TOKEN may read.${quote}`,
    );
  }
  return new HubError('network', `${describeTarget(subject)} answered with status ${status}.${quote}`);
}

/** Names the repository, and the file where there is one, for a sentence. */
export function describeTarget(subject: HubSubject): string {
  return subject.file === null ? `${subject.endpoint} (${subject.id})` : `${subject.id}, file ${subject.file}:`;
}

const MESSAGE_LIMIT = 300;

async function readMessage(response: Response): Promise<string> {
  const header = response.headers.get('x-error-message');
  const body = await response.text().catch(() => '');
  const text = header ?? errorField(body) ?? '';
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > MESSAGE_LIMIT ? `${line.slice(0, MESSAGE_LIMIT)}...` : line;
}

function errorField(body: string): string | null {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed && typeof parsed.error === 'string') {
      return parsed.error;
    }
  } catch {
    // An HTML page of a proxy: nothing to quote.
  }
  return null;
}

/** Turns an error of the filesystem into a `disk` error where the user can do something about it. */
export function errorFromDisk(error: unknown, path: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new HubError('disk', `No space left while writing ${path}. Free some, or set HF_HOME to another disk.`, {
      cause: error,
    });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new HubError('disk', `${path} cannot be written (${code}). Set HF_HOME to a folder that can.`, {
      cause: error,
    });
  }
  return error;
}
