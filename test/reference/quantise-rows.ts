/** Naive float64 quantisation of rows to signed bytes, in blocks of 32: s = max|x| / 127, q = round(x / s). Shapes: [T, K]. */
export function quantiseRowsReference(x: ArrayLike<number>): { quants: Int8Array; scales: Float64Array } {
  const quants = new Int8Array(x.length);
  const scales = new Float64Array(x.length / 32);
  for (let block = 0; block < scales.length; block++) {
    let largest = 0;
    for (let i = block * 32; i < block * 32 + 32; i++) largest = Math.max(largest, Math.abs(x[i] ?? 0));
    const scale = largest / 127;
    scales[block] = scale;
    for (let i = block * 32; i < block * 32 + 32; i++) quants[i] = scale === 0 ? 0 : Math.round((x[i] ?? 0) / scale);
  }
  return { quants, scales };
}

/** What the quants mean. */
export function quantisedValues(x: ArrayLike<number>): Float64Array {
  const { quants, scales } = quantiseRowsReference(x);
  return Float64Array.from(quants, (quant, i) => quant * (scales[Math.floor(i / 32)] ?? 0));
}

/**
 * The same rows without numbers that lie between two quants, where f32 may round to the other one: these are moved onto a quant.
 * What is left rounds the same way in any precision.
 */
export function withoutTies(x: Float32Array): Float32Array {
  const { scales } = quantiseRowsReference(x);
  return x.map((value, i) => {
    const scale = scales[Math.floor(i / 32)] ?? 0;
    const quant = value / scale;
    return Math.abs(quant - Math.floor(quant) - 0.5) < 0.01 ? Math.floor(quant) * scale : value;
  });
}
