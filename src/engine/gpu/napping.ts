/**
 * A wait for npm `webgpu` that does not take a core for itself.
 *
 * The package looks for results in every turn of the event loop while one is pending. Here each turn naps first, the longer the longer the
 * wait has lasted, so that a result comes a few hundredths late at most; between naps the process reads its messages. Guessing the
 * length of a step and sleeping for most of it was tried: the guess feeds on its own delay, and short steps become long ones.
 * Next: `node-webgpu.ts` (who waits).
 */

/** Of the time waited so far: a nap delays the result by half of this share, on average. */
const NAP_SHARE = 0.03;
/** Shorter ones are not worth their system call; longer ones keep messages waiting. Units: milliseconds. */
const NAP_MS = { least: 0.02, most: 1 };
const napCell = new Int32Array(new SharedArrayBuffer(4));

/** Waits for a promise that the event loop's turns bring about. Throws: what it throws, or Error after `timeoutMs`. */
export async function napping(pending: Promise<unknown>, timeoutMs: number): Promise<void> {
  let isPending = true;
  const settled = pending.finally(() => {
    isPending = false;
  });
  // A rejection is seen below, or no longer wanted after a timeout.
  settled.catch(() => {});
  const startMs = performance.now();
  while (isPending) {
    const waitedMs = performance.now() - startMs;
    if (waitedMs > timeoutMs) throw new Error(`the GPU did not finish within ${timeoutMs} ms`);
    Atomics.wait(napCell, 0, 0, Math.min(NAP_MS.most, Math.max(NAP_MS.least, waitedMs * NAP_SHARE)));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await settled;
}
