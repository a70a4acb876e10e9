// Packs four elements of a key or a value as the paged cache stores them.
// Rounding is to the nearest, ties to even; what exceeds a narrow format becomes its largest number, NaN stays NaN.
#include "kv.wgsl"

#if FORMAT == 0
alias FourStored = vec4u;

fn pack_four(x: vec4f, inverse_scale: f32) -> FourStored {
  return bitcast<vec4u>(x);
}
#endif
#if FORMAT == 1
alias FourStored = vec2u;

fn pack_four(x: vec4f, inverse_scale: f32) -> FourStored {
  let bits = bitcast<vec4u>(x);
  // bf16 has the range of f32: only NaN needs care, whose mantissa must not round to nothing.
  let rounded = (bits + vec4u(0x7fffu) + ((bits >> vec4u(16u)) & vec4u(1u))) >> vec4u(16u);
  let is_nan = (bits & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
  let half = select(rounded, (bits >> vec4u(16u)) | vec4u(0x40u), is_nan);
  return half.xz | (half.yw << vec2u(16u));
}
#endif
#if FORMAT == 2
alias FourStored = vec2u;
const F16_MAX: f32 = 65504.0;

fn pack_four(x: vec4f, inverse_scale: f32) -> FourStored {
  let held = clamp(x, vec4f(-F16_MAX), vec4f(F16_MAX));
  return vec2u(pack2x16float(held.xy), pack2x16float(held.zw));
}
#endif
#if FORMAT == 3
alias FourStored = u32;

fn pack_four(x: vec4f, inverse_scale: f32) -> FourStored {
  let biased = vec4u(vec4i(round(clamp(x * inverse_scale, vec4f(-127.0), vec4f(127.0)))) + vec4i(128));
  return biased.x | (biased.y << 8u) | (biased.z << 16u) | (biased.w << 24u);
}
#endif
#if FORMAT >= 4
alias FourStored = u32;
#if FORMAT == 4
const FP8_MANTISSA: u32 = 3u;
const FP8_BIAS: u32 = 7u;
// 448 as f32.
const FP8_LARGEST: u32 = 0x43e00000u;
#else
const FP8_MANTISSA: u32 = 2u;
const FP8_BIAS: u32 = 15u;
// 57344 as f32.
const FP8_LARGEST: u32 = 0x47600000u;
#endif
// Mantissa bits that go, of a normal number.
const FP8_DROPPED: u32 = 23u - FP8_MANTISSA;

// In integers, so that no driver's rounding or flushing has a say.
fn fp8_code(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let size = min(bits & 0x7fffffffu, FP8_LARGEST);
  let exponent = size >> 23u;
  let is_normal = exponent > 127u - FP8_BIAS;
  let mantissa = select((size & 0x7fffffu) | 0x800000u, size, is_normal);
  // A subnormal drops one more bit for each exponent below the smallest normal's; beyond 31 nothing is left either way.
  let dropped = min(select(FP8_DROPPED + 128u - FP8_BIAS - exponent, FP8_DROPPED, is_normal), 31u);
  let rounded = (mantissa + (1u << (dropped - 1u)) - 1u + ((mantissa >> dropped) & 1u)) >> dropped;
  let code = select(rounded, rounded - ((127u - FP8_BIAS) << FP8_MANTISSA), is_normal);
  let is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return select(code, 0x7fu, is_nan) | ((bits >> 24u) & 0x80u);
}

fn pack_four(x: vec4f, inverse_scale: f32) -> FourStored {
  return fp8_code(x.x) | (fp8_code(x.y) << 8u) | (fp8_code(x.z) << 16u) | (fp8_code(x.w) << 24u);
}
#endif
