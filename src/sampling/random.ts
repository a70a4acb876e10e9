/**
 * The generator of the draw, on the host: for decisions of a whole row, such as whether a step excludes the top choices.
 *
 * Owns which counters belong to the host, so that these words and those of the draw are independent. Source: Philox4x32-10 of Salmon,
 * Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Next: `stages.ts`.
 */

/** The draw counts in the first word and leaves the third at 0. */
const HOST_STREAM = 1;

/** A number in (0, 1) that seed and position alone decide. */
export function uniformOf(seed: readonly [number, number], position: number): number {
  let [c0, c1, c2, c3] = [0, position >>> 0, HOST_STREAM, 0];
  let [k0, k1] = seed;
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = [highProduct(0xd2511f53, c0), Math.imul(0xd2511f53, c0) >>> 0];
    const [high1, low1] = [highProduct(0xcd9e8d57, c2), Math.imul(0xcd9e8d57, c2) >>> 0];
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return (c0 + 0.5) / 2 ** 32;
}

/** The upper word of a product of two u32. */
function highProduct(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const cross = aHigh * bLow;
  const other = aLow * bHigh;
  const middle = Math.floor((aLow * bLow) / 65536) + (cross % 65536) + (other % 65536);
  return aHigh * bHigh + Math.floor(cross / 65536) + Math.floor(other / 65536) + Math.floor(middle / 65536);
}
