/**
 * The set of allowed tokens as a bit mask, a bit per token, lowest first.
 *
 * Owns the mask's layout on the host. Next: `prepare.ts`.
 */

/** Words of a mask over a vocabulary. */
export function maskWords(vocab: number): number {
  return Math.ceil(vocab / 32);
}

/** The mask of a list of tokens. Ids outside the vocabulary are left out. */
export function allowedMask(tokenIds: readonly number[], vocab: number): Uint32Array {
  const mask = new Uint32Array(maskWords(vocab));
  for (const tokenId of tokenIds) {
    if (tokenId < 0 || tokenId >= vocab) continue;
    mask[tokenId >>> 5] = (mask[tokenId >>> 5] ?? 0) | (1 << (tokenId & 31));
  }
  return mask;
}
