/** Pairs sorted by expert and then by token, and the tiles that they make, by the plainest means. */

export interface ReferenceTile {
  readonly expert: number;
  readonly first: number;
  readonly count: number;
}

export function moeAlignReference(
  ids: ArrayLike<number>,
  numExperts: number,
  tileRows: number,
): { pairs: number[]; tiles: ReferenceTile[] } {
  const pairs: number[] = [];
  const tiles: ReferenceTile[] = [];
  for (let expert = 0; expert < numExperts; expert++) {
    const first = pairs.length;
    for (let pair = 0; pair < ids.length; pair++) if (ids[pair] === expert) pairs.push(pair);
    for (let at = first; at < pairs.length; at += tileRows) {
      tiles.push({ expert, first: at, count: Math.min(tileRows, pairs.length - at) });
    }
  }
  return { pairs, tiles };
}
