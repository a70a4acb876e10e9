/**
 * The table of cosines and sines of a rotary embedding, computed on the CPU in float64.
 *
 * On the CPU because WGSL lets sin and cos lose precision for large arguments. Knows no GPU: the caller uploads the result.
 * Next: `spec.ts` (what a RopeSpec says), `ops/rope-kv.ts` (who rotates).
 */
import type { RopeScaling, RopeSpec } from './spec.ts';

/** Pairs (cos, sin) for positions 0 to maxPositions - 1. Shapes: [maxPositions][dims / 2][2]. */
export function ropeTable(rope: RopeSpec, maxPositions: number): Float32Array<ArrayBuffer> {
  const frequencies = inverseFrequencies(rope);
  const multiplier = rope.scaling.kind === 'yarn' ? rope.scaling.attentionFactor : 1;
  const table = new Float32Array(maxPositions * frequencies.length * 2);
  let at = 0;
  for (let position = 0; position < maxPositions; position++) {
    for (const frequency of frequencies) {
      const angle = position * frequency;
      table[at++] = Math.cos(angle) * multiplier;
      table[at++] = Math.sin(angle) * multiplier;
    }
  }
  return table;
}

/** Radians per position of each rotated pair. Shapes: [dims / 2]. Source: transformers `modeling_rope_utils`. */
export function inverseFrequencies({ dims, theta, scaling }: RopeSpec): Float64Array {
  const plain = Float64Array.from({ length: dims / 2 }, (_, i) => theta ** ((-2 * i) / dims));
  switch (scaling.kind) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'llama3':
      return plain.map((frequency) => llama3Frequency(frequency, scaling));
    case 'yarn':
      return yarnFrequencies(plain, dims, theta, scaling);
  }
}

type Scaling<Kind> = Extract<RopeScaling, { readonly kind: Kind }>;

/** Long waves are stretched, short ones kept, those between blended. */
function llama3Frequency(frequency: number, scaling: Scaling<'llama3'>): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  const kept = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return frequency * ((1 - kept) / factor + kept);
}

/** Blends stretched and plain frequencies along a ramp over the dimensions. Source: YaRN, arXiv 2309.00071. */
function yarnFrequencies(plain: Float64Array, dims: number, theta: number, scaling: Scaling<'yarn'>): Float64Array {
  const { factor, betaFast, betaSlow, originalMaxPositions, truncate } = scaling;
  const dimensionOf = (rotations: number) =>
    (dims * Math.log(originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  let low = dimensionOf(betaFast);
  let high = dimensionOf(betaSlow);
  if (truncate) {
    low = Math.floor(low);
    high = Math.ceil(high);
  }
  low = Math.max(low, 0);
  high = Math.min(high, dims - 1);
  // A ramp of no width would divide by zero.
  if (low === high) high += 0.001;
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return (stretched * frequency) / factor + (1 - stretched) * frequency;
  });
}
