// The loops of gemv-sums.wgsl for quantised weights, eight elements a lane and step: neighbours then read neighbouring x.
// For one or two rows of x the quants are multiplied as they are, s * (q . x) - s * zero * sum(x): the zero then costs nothing per weight.
// For more rows it is cheaper to finish each weight once.
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
    let load$s_$r = w[row$r + chunk$s];
    let pair$s_$r = scales[(row$r + chunk$s) / GROUP_CHUNKS];
#if GATED
    let second_load$s_$r = w2[row$r + chunk$s];
    let second_pair$s_$r = scales2[(row$r + chunk$s) / GROUP_CHUNKS];
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
#if COLS > 2
#unroll r ROWS
      let weights$r = dequantised(quants8(load$s_$r), scale_of(pair$s_$r));
#if GATED
      let paired$r = dequantised(quants8(second_load$s_$r), scale_of(second_pair$s_$r));
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
#if COLS > 2
#unroll r ROWS
      sum$r_$m += dot(weights$r.low, low$m) + dot(weights$r.high, high$m);
#if GATED
      gated$r_$m += dot(paired$r.low, low$m) + dot(paired$r.high, high$m);
#endif
#end
#else
#if ZEROS
      let total$m = dot(low$m + high$m, vec4f(1.0));
#endif
#endif
#end
#if COLS <= 2
#unroll r ROWS
      {
        let quants = quants8(load$s_$r);
        let scale = scale_of(pair$s_$r);
#if GATED
        let second_quants = quants8(second_load$s_$r);
        let second_scale = scale_of(second_pair$s_$r);
#endif
#unroll m COLS
        sum$r_$m += scale.x * (dot(quants.low, low$m) + dot(quants.high, high$m));
#if ZEROS
        sum$r_$m -= scale.y * total$m;
#endif
#if GATED
        gated$r_$m += second_scale.x * (dot(second_quants.low, low$m) + dot(second_quants.high, high$m));
#if ZEROS
        gated$r_$m -= second_scale.y * total$m;
#endif
#endif
#end
      }
#end
#endif
    }
#end
  }
#endif
#end
