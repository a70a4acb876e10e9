/**
 * Tells a client's own server that a job has ended.
 *
 * Source: RunPod's webhooks: the status object by POST, at most three attempts ten seconds apart, anything but 200 is a failure.
 */
import type { Clock } from './clock.ts';

const maxAttempts = 3;
const retryDelayMs = 10_000;
const timeoutMs = 30_000;

/** Sends one POST and gives its status. Throws when there is no answer. */
export type PostWebhook = (url: string, body: string) => Promise<number>;

/** Over HTTP; a redirect is not followed, so that a checked address stays the one that is used. */
export const postWebhook: PostWebhook = async (url, body) => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    redirect: 'manual',
    signal: AbortSignal.timeout(timeoutMs),
  });
  await response.body?.cancel();
  return response.status;
};

/** Resolves when the receiver has it, or when all attempts are used up. Never rejects. */
export async function deliverWebhook(
  url: string,
  body: string,
  clock: Clock,
  post: PostWebhook,
  report: (message: string) => void,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const status = await post(url, body).catch(() => null);
    if (status === 200) return;
    if (attempt === maxAttempts) {
      report(
        `A webhook was given up after ${maxAttempts} attempts: ${status === null ? 'no answer' : `status ${status}`}.`,
      );
      return;
    }
    await new Promise<void>((resolve) => {
      clock.after(retryDelayMs, resolve);
    });
  }
}
