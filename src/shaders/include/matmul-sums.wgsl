// The sums of a block of ROWS outputs by COLS rows of x, in the middle of a kernel: declares sum<r>_<m>, and gated<r>_<m> with GATED.
// The kernel has declared first_chunk and chunk_step, row<r> (first word of a row of w) and x<m> (first vec4 of a row of x).
// NORM: x is multiplied by the norm's weight on the way, and squares<m> are the sums of squares of what was read.
#unroll r ROWS
#unroll m COLS
  var sum$r_$m = 0.0;
#if GATED
  var gated$r_$m = 0.0;
#endif
#end
#end
#if NORM
#unroll m COLS
  var squares$m = 0.0;
#end
#endif
#if FORMAT >= 3
#if DP4A
#include "matmul-sums-dp4a.wgsl"
#else
#include "matmul-sums-quantised.wgsl"
#endif
#else
  for (var chunk = first_chunk; chunk < params.chunks; chunk += chunk_step) {
    let at = chunk * WORDS_PER_CHUNK;
#if NORM
    let scale_low = norm_weight[chunk * 2u];
    let scale_high = norm_weight[chunk * 2u + 1u];
#endif
#if COLS >= 8
    // With many rows of x the weights are what stays in registers.
#unroll r ROWS
    let weights$r = unpack8(w[row$r + at], w[row$r + at + WORDS_PER_CHUNK - 1u]);
#if GATED
    let paired$r = unpack8(w2[row$r + at], w2[row$r + at + WORDS_PER_CHUNK - 1u]);
#endif
#end
#endif
#unroll m COLS
    let raw_low$m = x[x$m + chunk * 2u];
    let raw_high$m = x[x$m + chunk * 2u + 1u];
#if NORM
    squares$m += dot(raw_low$m, raw_low$m) + dot(raw_high$m, raw_high$m);
    let low$m = raw_low$m * scale_low;
    let high$m = raw_high$m * scale_high;
#else
    let low$m = raw_low$m;
    let high$m = raw_high$m;
#endif
#if COLS >= 8
#unroll r ROWS
    sum$r_$m += dot(weights$r.low, low$m) + dot(weights$r.high, high$m);
#if GATED
    gated$r_$m += dot(paired$r.low, low$m) + dot(paired$r.high, high$m);
#endif
#end
#endif
#end
#if COLS < 8
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
#endif
  }
#endif
