// Eight consecutive floats of a row as stored, in natural order: what weights and the cache share.
// FORMAT: 0 = f32, 1 = bf16 pairs, 2 = f16 pairs in u32; formats from 3 on have readers of their own.
#param FORMAT: u32
#param F16: flag
#if F16 && FORMAT == 2
enable f16;
#endif

// Loads that hold eight elements.
#if FORMAT == 0
const WORDS_PER_CHUNK: u32 = 2u;
#else
const WORDS_PER_CHUNK: u32 = 1u;
#endif

struct Eight {
  low: vec4f,
  high: vec4f,
}

#if FORMAT < 3
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
