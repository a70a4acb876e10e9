/**
 * One HTTP request to the Hub, and the rule which failures are worth another try.
 *
 * Owns: redirects (followed here, so that the token goes to the Hub's own origin only), `Accept-Encoding: identity`
 * (anything else would break sizes and ranges), the stall timer, backoff. Must not know files or the cache.
 * Next: `api.ts` (JSON), `transfer.ts` (bytes).
 */

import { describeTarget, errorFromResponse, HubError, type HubSubject } from './errors.ts';
import type { HubSession } from './session.ts';

/** A failure that may pass. Never leaves this folder: `withRetries` turns the last one into a HubError. */
export class RetryableError extends Error {
  override readonly name: string = 'RetryableError';
  constructor(
    message: string,
    /** What the server asked for, or null. */
    readonly retryAfterMs: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The server has no bytes where we wanted to go on (416). */
export class RangeRefusedError extends RetryableError {
  override readonly name = 'RangeRefusedError';
}

const MAX_REDIRECTS = 5;
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 10_000;
/** The Hub's rate limits count over windows of five minutes. */
const MAX_RETRY_AFTER_MS = 300_000;

/** Aborts an attempt that has been silent for too long. */
export class StallTimer {
  readonly #stalled = new AbortController();
  readonly #timeoutMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Aborted by the caller's signal or by silence. */
  readonly signal: AbortSignal;

  constructor(session: HubSession) {
    this.#timeoutMs = session.settings.stallTimeoutMs;
    this.signal = AbortSignal.any([session.signal, this.#stalled.signal]);
    this.touch();
  }

  /** Something arrived. */
  touch(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#stalled.abort(new RetryableError(`no data for ${this.#timeoutMs / 1000} s`));
    }, this.#timeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Runs one attempt and names its failure: the caller's abort and HubErrors pass as they are, all else becomes a
 * RetryableError, because `fetch` and body streams throw whatever the runtime likes for a broken connection.
 */
export async function attempt<T>(session: HubSession, work: (timer: StallTimer) => Promise<T>): Promise<T> {
  session.signal.throwIfAborted();
  const timer = new StallTimer(session);
  try {
    return await work(timer);
  } catch (error) {
    session.signal.throwIfAborted();
    if (error instanceof HubError || error instanceof RetryableError) throw error;
    if (timer.signal.aborted && timer.signal.reason instanceof RetryableError) throw timer.signal.reason;
    throw new RetryableError(error instanceof Error ? error.message : String(error), null, { cause: error });
  } finally {
    timer.stop();
  }
}

/**
 * Repeats `work` until it succeeds, with growing pauses.
 * `hasProgressed` says whether the failed try brought something: then the count starts again.
 * Throws: HubError as it comes; `network` after too many RetryableErrors in a row.
 */
export async function withRetries<T>(
  session: HubSession,
  subject: HubSubject,
  work: () => Promise<T>,
  hasProgressed: () => boolean = () => false,
): Promise<T> {
  const { numRetries, delay } = session.settings;
  for (let numFailures = 0; ; ) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error;
      numFailures = hasProgressed() ? 1 : numFailures + 1;
      if (numFailures > numRetries) {
        throw new HubError(
          'network',
          `${describeTarget(subject)} gave up after ${numFailures} tries: ${error.message}. ` +
            'Check the network, the proxy and HF_ENDPOINT; what has arrived is kept for the next start.',
          { cause: error },
        );
      }
      const backoffMs =
        Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (numFailures - 1)) * (0.75 + Math.random() / 2);
      await delay(error.retryAfterMs ?? backoffMs, session.signal);
    }
  }
}

/**
 * Sends a GET and follows redirects to the answer with the content.
 * Throws: RetryableError for 408, 429, 5xx and for storage hosts that refuse a signed address (it may have expired: the
 * next try asks the Hub for a new one); HubError for every other status from 400 up.
 */
export async function get(
  session: HubSession,
  url: string,
  subject: HubSubject,
  headers: Readonly<Record<string, string>>,
  timer: StallTimer,
): Promise<Response> {
  const { token, endpoint } = session.hub;
  const hubOrigin = new URL(endpoint).origin;
  let current = new URL(url);
  for (let numRedirects = 0; numRedirects <= MAX_REDIRECTS; numRedirects++) {
    const isHub = current.origin === hubOrigin;
    const response = await session.settings.fetch(current.href, {
      headers: {
        'accept-encoding': 'identity',
        'user-agent': 'wgslm',
        ...headers,
        ...(isHub && token !== null ? { authorization: `Bearer ${token}` } : {}),
      },
      redirect: 'manual',
      signal: timer.signal,
    });
    timer.touch();
    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      current = new URL(location, current);
      continue;
    }
    if (response.ok) return response;
    throw await failure(response, isHub, current, subject);
  }
  throw new HubError('network', `${describeTarget(subject)} was redirected more than ${MAX_REDIRECTS} times.`);
}

async function failure(response: Response, isHub: boolean, url: URL, subject: HubSubject): Promise<Error> {
  const { status } = response;
  const mayPass = status === 408 || status === 429 || status >= 500 || (status === 403 && !isHub);
  if (!mayPass && status !== 416) {
    if (isHub) return errorFromResponse(response, subject);
    await response.body?.cancel();
    return new HubError(
      'network',
      `${describeTarget(subject)} its storage host ${url.host} answered with status ${status}.`,
    );
  }
  await response.body?.cancel();
  const message = `status ${status} from ${url.host}`;
  if (status === 416) return new RangeRefusedError(message);
  return new RetryableError(message, retryAfterMs(response.headers.get('retry-after')));
}

/** Reads `Retry-After`: seconds or a date. Null where it is missing, zero or unreadable. */
export function retryAfterMs(header: string | null, nowMs: number = Date.now()): number | null {
  if (header === null) return null;
  const ms = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : null;
}
