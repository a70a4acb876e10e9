// The power of two that brings the largest magnitude of a row to 2^14 up to 2^15, so that f16 holds the row with all its bits:
// 65504 is its largest number, and below 2^-14 it loses bits. Scaling by a power of two is exact.
// `bits` is that magnitude as bits; a row with an infinity or a NaN gets NaN, which every output of it then becomes.
fn power_scale(bits: u32) -> f32 {
  let exponent = bits >> 23u;
  if (exponent == 255u) {
    return bitcast<f32>(bits | 0x7fc00000u);
  }
  // Up to 253, so that the inverse is a normal number too.
  return bitcast<f32>(clamp(268u - exponent, 1u, 253u) << 23u);
}

fn inverse_power(scale: f32) -> f32 {
  let bits = bitcast<u32>(scale);
  return bitcast<f32>(select((254u << 23u) - bits, bits, bits > 0x7f800000u));
}

// Largest magnitude of four numbers, as bits: NaN is above infinity, and that above all numbers.
fn magnitude_bits(value: vec4f) -> u32 {
  let bits = bitcast<vec4u>(value) & vec4u(0x7fffffffu);
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}
