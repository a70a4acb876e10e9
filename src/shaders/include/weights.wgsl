// Weight formats behind one name: eight consecutive elements of a packed row, in natural order.
// Float rows are padded with zeros to a multiple of 8 elements. FORMAT: 0 = f32, 1 = bf16 pairs, 2 = f16 pairs in u32,
// 3 = signed bytes, 4 = unsigned nibbles, both low first and without their scale: quantised rows are whole groups of 32, 64 or 128.
#include "floats.wgsl"

// What is loaded at once.
#if FORMAT == 3
alias Word = vec2u;
#else
#if FORMAT == 4
alias Word = u32;
#else
alias Word = vec4u;
#endif
#endif

#if FORMAT >= 3
fn quants8(word: Word) -> Eight {
#if FORMAT == 3
  return Eight(vec4f(unpack4xI8(word.x)), vec4f(unpack4xI8(word.y)));
#else
  let even = vec4f(unpack4xU8(word & 0x0f0f0f0fu));
  let odd = vec4f(unpack4xU8((word >> 4u) & 0x0f0f0f0fu));
  return Eight(vec4f(even.x, odd.x, even.y, odd.y), vec4f(even.z, odd.z, even.w, odd.w));
#endif
}

// `scale`: x = the scale, y = scale * zero.
fn dequantised(quants: Eight, scale: vec2f) -> Eight {
  return Eight(quants.low * scale.x - vec4f(scale.y), quants.high * scale.x - vec4f(scale.y));
}
#endif
