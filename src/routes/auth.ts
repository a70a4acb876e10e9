/**
 * Bearer keys; for Anthropic's protocol its own header as well. Once a key is set every route needs one, except those that probes and
 * dashboards read.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { ApiError } from '../serving/errors.ts';
import { isMessagesPath } from './anthropic/messages.ts';

/** Open even when keys are set; anything not listed is protected, known or not. */
const openPaths: ReadonlySet<string> = new Set([
  '/live',
  '/health',
  '/ready',
  '/ping',
  '/version',
  '/metrics',
  '/metrics/routing',
]);

/** Throws an ApiError 401 for a request without a right key. */
export type Authorize = (request: Request) => void;

export function createAuthorize(apiKeys: readonly string[]): Authorize {
  if (apiKeys.length === 0) return () => {};
  const digests = apiKeys.map(digest);
  return (request) => {
    const path = new URL(request.url).pathname;
    if (openPaths.has(path)) return;
    const bearer = /^Bearer +(.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    const given = bearer ?? (isMessagesPath(path) ? (request.headers.get('x-api-key') ?? undefined) : undefined);
    if (given === undefined) throw new ApiError(401, 'An API key is required: send "Authorization: Bearer <key>".');
    const givenDigest = digest(given.trim());
    // Digests have one length and every key is compared: the time taken tells nothing about the keys.
    const numEqual = digests.filter((known) => timingSafeEqual(known, givenDigest)).length;
    if (numEqual === 0) throw new ApiError(401, 'The API key is not correct.');
  };
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
