// Reads keys and values from the paged cache, whatever their format: load_key and load_value give a chunk of eight elements,
// key_scale and value_scale what a whole row is to be multiplied by. A scale is best applied to the row's score or weight.
// Bindings of the caller: k and v, array<KvWord>.
#include "kv.wgsl"
#include "floats.wgsl"

#if FORMAT < 3
alias KvWord = vec4u;
#else
alias KvWord = vec2u;
#endif

#if FORMAT == 3
// Bytes are values biased by 128. In the low bits of 2^23 as f32 they are exact, and cheaper than a conversion.
fn unpack4(word: u32) -> vec4f {
  let bytes = (vec4u(word) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu);
  return bitcast<vec4f>(bytes | vec4u(0x4b000000u)) - vec4f(8388736.0);
}
#endif
#if FORMAT >= 4
#if FORMAT == 4
// Sign, 4 bits of exponent, 3 of mantissa: where they go in an f32, what the exponent lacks, the smallest normal, the first non-number.
const FP8_SHIFT: u32 = 4u;
const FP8_MASK: u32 = 0x87f00000u;
const FP8_EXPONENT: u32 = 0x3c000000u;
const FP8_SMALLEST: f32 = 0.015625;
const FP8_SPECIAL: u32 = 0x7fu;
// Added to the low seven bits of each byte it carries into the eighth from FP8_SPECIAL on.
const FP8_CARRY: u32 = 0x01010101u;
#else
// Sign, 5 bits of exponent, 2 of mantissa.
const FP8_SHIFT: u32 = 3u;
const FP8_MASK: u32 = 0x8fe00000u;
const FP8_EXPONENT: u32 = 0x38000000u;
const FP8_SMALLEST: f32 = 0.00006103515625;
const FP8_SPECIAL: u32 = 0x7cu;
const FP8_CARRY: u32 = 0x04040404u;
#endif

// Exact without subnormal numbers of f16 or f32, which drivers may flush: read with one exponent less, a subnormal s is
// (s + smallest) / 2, and of |x| and 2|x| - smallest the lesser one is right for both kinds.
fn unpack4(word: u32) -> vec4f {
  let aligned = bitcast<vec4i>(vec4u(word) << vec4u(24u, 16u, 8u, 0u));
  let bits = (bitcast<vec4u>(aligned >> vec4u(FP8_SHIFT)) & vec4u(FP8_MASK)) + vec4u(FP8_EXPONENT);
  let size = abs(bitcast<vec4f>(bits));
  let fixed = min(size, 2.0 * size - FP8_SMALLEST);
  var result = bitcast<vec4u>(fixed) | (bits & vec4u(0x80000000u));
  if ((((word & 0x7f7f7f7fu) + FP8_CARRY) & 0x80808080u) != 0u) {
    // The cache's writer stores NaN as such and no infinity; e5m2 has both.
    let code = (bitcast<vec4u>(aligned) >> vec4u(24u)) & vec4u(0x7fu);
    let special = select(vec4u(0x7fc00000u), vec4u(0x7f800000u), code == vec4u(0x7cu));
    result = select(result, special | (bits & vec4u(0x80000000u)), code >= vec4u(FP8_SPECIAL));
  }
  return bitcast<vec4f>(result);
}
#endif

fn unpack_chunk(first: KvWord, second: KvWord) -> Eight {
#if FORMAT < 3
  return unpack8(first, second);
#else
  return Eight(unpack4(first.x), unpack4(first.y));
#endif
}

// `at` is a row's first chunk plus the number of the chunk in its row.
fn load_key(at: u32) -> Eight {
  return unpack_chunk(k[at * WORDS_PER_CHUNK], k[at * WORDS_PER_CHUNK + WORDS_PER_CHUNK - 1u]);
}

fn load_value(at: u32) -> Eight {
  return unpack_chunk(v[at * WORDS_PER_CHUNK], v[at * WORDS_PER_CHUNK + WORDS_PER_CHUNK - 1u]);
}

fn key_scale(unit: u32, row: u32, block_shift: u32) -> f32 {
#if FORMAT == 3
  return bitcast<f32>(k[unit + (CHUNKS << block_shift) + row / 2u][row % 2u]);
#else
  return 1.0;
#endif
}

fn value_scale(unit: u32, row: u32, block_shift: u32) -> f32 {
#if FORMAT == 3
  return bitcast<f32>(v[unit + (CHUNKS << block_shift) + row / 2u][row % 2u]);
#else
  return 1.0;
#endif
}
