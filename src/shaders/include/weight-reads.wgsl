// Reads of eight weights at a time, whatever their format, for kernels that stage them. The includer declares w, w2, scales and scales2.
#if LOAD == 1
// Eight weights, by the place of their first word.
fn weights_at(at: u32) -> Eight {
#if FORMAT >= 3
  return dequantised(quants8(w[at]), scale_of(scales[at / GROUP_CHUNKS]));
#else
  return unpack8(w[at], w[at + WORDS_PER_CHUNK - 1u]);
#endif
}

#if GATED
fn weights2_at(at: u32) -> Eight {
#if FORMAT >= 3
  return dequantised(quants8(w2[at]), scale_of(scales2[at / GROUP_CHUNKS]));
#else
  return unpack8(w2[at], w2[at + WORDS_PER_CHUNK - 1u]);
#endif
}
#endif
#endif
