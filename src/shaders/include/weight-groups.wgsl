// Quantised weights by groups and by loads of LOAD chunks. The includer declares GROUP, LOAD and FORMAT (weights.wgsl).

const GROUP_CHUNKS: u32 = GROUP / 8u;

#if LOAD == 1
alias Load = Word;

fn chunk_of(load: Load, chunk: u32) -> Word {
  return load;
}
#else
#if FORMAT == 3
alias Load = vec4u;

fn chunk_of(load: Load, chunk: u32) -> Word {
  return select(load.xy, load.zw, chunk == 1u);
}
#else
#if LOAD == 2
alias Load = vec2u;
#else
alias Load = vec4u;
#endif

fn chunk_of(load: Load, chunk: u32) -> Word {
  return load[chunk];
}
#endif
#endif

// Scale and scale * zero of a group.
fn scale_of(pair: u32) -> vec2f {
#if ZEROS
  return unpack2x16float(pair);
#else
  return vec2f(unpack2x16float(pair).x, 0.0);
#endif
}
