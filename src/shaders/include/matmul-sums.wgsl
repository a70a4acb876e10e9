// The sums of a block of ROWS outputs by COLS rows of x, in the middle of a kernel: declares sum<r>_<m>, and gated<r>_<m> with GATED.
// The kernel has declared first_chunk and chunk_step, row<r> (first word of a row of w) and x<m> (first vec4 of a row of x).
#unroll r ROWS
#unroll m COLS
  var sum$r_$m = 0.0;
#if GATED
  var gated$r_$m = 0.0;
#endif
#end
#end
  for (var chunk = first_chunk; chunk < params.chunks; chunk += chunk_step) {
    let at = chunk * WORDS_PER_CHUNK;
#unroll m COLS
    let low$m = x[x$m + chunk * 2u];
    let high$m = x[x$m + chunk * 2u + 1u];
#end
#unroll r ROWS
    {
      let weights = unpack8(w[row$r + at], w[row$r + at + WORDS_PER_CHUNK - 1u]);
#unroll m COLS
      sum$r_$m += dot(weights.low, low$m) + dot(weights.high, high$m);
#end
    }
#if GATED
    {
      let weights = unpack8(w2[row$r + at], w2[row$r + at + WORDS_PER_CHUNK - 1u]);
#unroll m COLS
      gated$r_$m += dot(weights.low, low$m) + dot(weights.high, high$m);
#end
    }
#endif
#end
  }
