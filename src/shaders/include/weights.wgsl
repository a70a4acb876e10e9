// Weight formats behind one name: eight consecutive elements of a packed row, in natural order.
// Float rows are padded with zeros to a multiple of 8 elements. FORMAT: 0 = f32, 1 = bf16 pairs, 2 = f16 pairs in u32,
// 3 = signed bytes, 4 = unsigned nibbles, both low first and without their scale: quantised rows are whole groups of 32, 64 or 128.
#param FORMAT: u32
#param F16: flag
#if F16 && FORMAT == 2
enable f16;
#endif

// What is loaded at once, and how many of it hold eight elements.
#if FORMAT == 3
alias Word = vec2u;
#else
#if FORMAT == 4
alias Word = u32;
#else
alias Word = vec4u;
#endif
#endif
#if FORMAT == 0
const WORDS_PER_CHUNK: u32 = 2u;
#else
const WORDS_PER_CHUNK: u32 = 1u;
#endif

struct Eight {
  low: vec4f,
  high: vec4f,
}

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
#else
fn unpack8(first: vec4u, second: vec4u) -> Eight {
#if FORMAT == 0
  return Eight(bitcast<vec4f>(first), bitcast<vec4f>(second));
#else
#if FORMAT == 1
  let even = bitcast<vec4f>(first << vec4u(16u));
  let odd = bitcast<vec4f>(first & vec4u(0xffff0000u));
  return Eight(vec4f(even.x, odd.x, even.y, odd.y), vec4f(even.z, odd.z, even.w, odd.w));
#else
#if F16
  return Eight(
    vec4f(bitcast<vec4<f16>>(first.xy)),
    vec4f(bitcast<vec4<f16>>(first.zw)),
  );
#else
  return Eight(
    vec4f(unpack2x16float(first.x), unpack2x16float(first.y)),
    vec4f(unpack2x16float(first.z), unpack2x16float(first.w)),
  );
#endif
#endif
#endif
}
#endif
