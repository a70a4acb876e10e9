// The sums of a block of ROWS outputs by COLS rows of x, in the middle of a kernel whose WG lanes share k: declares sum<r>_<m>,
// and gated<r>_<m> with GATED. The kernel has declared lane, row<r> (first word of a row of w) and x<m> (first vec4 of a row of x).
// NORM: x is multiplied by the norm's weight on the way, and squares<m> are the sums of squares of what was read.
// UNROLL: steps along k whose weights are all loaded before the first is used, so that their latencies pass together. The main loop
// takes whole strides of UNROLL * WG chunks and has no branch for the end of a row; a second loop takes the rest step by step.
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
#if UNROLL > 1
  let main_end = params.chunks / (WG * UNROLL * LOAD) * (WG * UNROLL * LOAD);
#else
  let main_end = 0u;
#endif
#if FORMAT >= 3
#if LOAD > 1
#include "gemv-sums-staged.wgsl"
#else
#include "gemv-sums-quantised.wgsl"
#endif
#else
#unroll p 2
#if $p == 1 || UNROLL > 1
#if $p == 0
  for (var first = lane; first < main_end; first += WG * UNROLL) {
#else
  for (var first = main_end + lane; first < params.chunks; first += WG) {
#endif
#unroll s 1 + (1 - $p) * (UNROLL - 1)
    let chunk$s = first + $su * WG;
#unroll r ROWS
    let load$s_$r = w[row$r + chunk$s * WORDS_PER_CHUNK];
    let rest$s_$r = w[row$r + chunk$s * WORDS_PER_CHUNK + WORDS_PER_CHUNK - 1u];
#if GATED
    let pair_load$s_$r = w2[row$r + chunk$s * WORDS_PER_CHUNK];
    let pair_rest$s_$r = w2[row$r + chunk$s * WORDS_PER_CHUNK + WORDS_PER_CHUNK - 1u];
#endif
#end
#if NORM
    let norm_low$s = norm_weight[chunk$s * 2u];
    let norm_high$s = norm_weight[chunk$s * 2u + 1u];
#endif
#if COLS == 1
    let only_low$s = x[x0 + chunk$s * 2u];
    let only_high$s = x[x0 + chunk$s * 2u + 1u];
#endif
#end
#unroll s 1 + (1 - $p) * (UNROLL - 1)
    {
#if COLS >= 8
      // With many rows of x the weights are what stays in registers.
#unroll r ROWS
      let weights$r = unpack8(load$s_$r, rest$s_$r);
#if GATED
      let paired$r = unpack8(pair_load$s_$r, pair_rest$s_$r);
#endif
#end
#endif
#unroll m COLS
#if COLS == 1
      let raw_low$m = only_low$s;
      let raw_high$m = only_high$s;
#else
      let raw_low$m = x[x$m + chunk$s * 2u];
      let raw_high$m = x[x$m + chunk$s * 2u + 1u];
#endif
#if NORM
      squares$m += dot(raw_low$m, raw_low$m) + dot(raw_high$m, raw_high$m);
      let low$m = raw_low$m * norm_low$s;
      let high$m = raw_high$m * norm_high$s;
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
        let weights = unpack8(load$s_$r, rest$s_$r);
#unroll m COLS
        sum$r_$m += dot(weights.low, low$m) + dot(weights.high, high$m);
#end
      }
#if GATED
      {
        let weights = unpack8(pair_load$s_$r, pair_rest$s_$r);
#unroll m COLS
        gated$r_$m += dot(weights.low, low$m) + dot(weights.high, high$m);
#end
      }
#endif
#end
#endif
    }
#end
  }
#endif
#end
#endif
