/** Naive float64 norm and rotation of one head, from closed formulas and not from a table. */

export interface RotationReference {
  readonly style: 'half' | 'interleaved';
  readonly dims: number;
  /** Angle of pair i at this position. */
  readonly angle: (pair: number) => number;
}

/** Rotates the pairs among the first `dims` elements; the others pass through. */
export function rotateReference(x: ArrayLike<number>, rotation: RotationReference | null): Float64Array {
  const out = Float64Array.from(x);
  if (!rotation) return out;
  const { style, dims, angle } = rotation;
  for (let pair = 0; pair < dims / 2; pair++) {
    const first = style === 'half' ? pair : 2 * pair;
    const second = style === 'half' ? pair + dims / 2 : 2 * pair + 1;
    const [a, b] = [x[first] ?? 0, x[second] ?? 0];
    const [cos, sin] = [Math.cos(angle(pair)), Math.sin(angle(pair))];
    out[first] = a * cos - b * sin;
    out[second] = b * cos + a * sin;
  }
  return out;
}
