// The loop of matmul-sums.wgsl for quantised weights: each invocation takes LOAD chunks at a time, which lie in one group.
// For one or two rows of x the quants are multiplied as they are, s * (q . x) - s * zero * sum(x): the zero then costs nothing per weight.
// For more rows it is cheaper to finish each weight once.
  for (var chunk = first_chunk * LOAD; chunk < params.chunks; chunk += chunk_step * LOAD) {
#unroll r ROWS
    let load$r = w[(row$r + chunk) / LOAD];
    let scale$r = scale_of(scales[(row$r + chunk) / GROUP_CHUNKS]);
#if GATED
    let pair_load$r = w2[(row$r + chunk) / LOAD];
    let pair_scale$r = scale_of(scales2[(row$r + chunk) / GROUP_CHUNKS]);
#endif
#end
#if COLS <= 2
#unroll m COLS
#unroll c LOAD
    let raw_low$m_$c = x[x$m + (chunk + $cu) * 2u];
    let raw_high$m_$c = x[x$m + (chunk + $cu) * 2u + 1u];
#if NORM
    squares$m += dot(raw_low$m_$c, raw_low$m_$c) + dot(raw_high$m_$c, raw_high$m_$c);
    let low$m_$c = raw_low$m_$c * norm_weight[(chunk + $cu) * 2u];
    let high$m_$c = raw_high$m_$c * norm_weight[(chunk + $cu) * 2u + 1u];
#else
    let low$m_$c = raw_low$m_$c;
    let high$m_$c = raw_high$m_$c;
#endif
#end
#if ZEROS
    var all$m = low$m_0 + high$m_0;
#if LOAD > 1
    all$m += low$m_1 + high$m_1;
#endif
#if LOAD > 2
    all$m += low$m_2 + high$m_2 + low$m_3 + high$m_3;
#endif
    let total$m = dot(all$m, vec4f(1.0));
#endif
#end
#unroll r ROWS
    {
#unroll c LOAD
      let quants$c = quants8(chunk_of(load$r, $cu));
#end
#unroll m COLS
      {
        var part = 0.0;
#unroll c LOAD
        part += dot(quants$c.low, low$m_$c) + dot(quants$c.high, high$m_$c);
#end
#if ZEROS
        sum$r_$m += scale$r.x * part - scale$r.y * total$m;
#else
        sum$r_$m += scale$r.x * part;
#endif
      }
#end
    }
#if GATED
    {
#unroll c LOAD
      let quants$c = quants8(chunk_of(pair_load$r, $cu));
#end
#unroll m COLS
      {
        var part = 0.0;
#unroll c LOAD
        part += dot(quants$c.low, low$m_$c) + dot(quants$c.high, high$m_$c);
#end
#if ZEROS
        gated$r_$m += pair_scale$r.x * part - pair_scale$r.y * total$m;
#else
        gated$r_$m += pair_scale$r.x * part;
#endif
      }
#end
    }
#endif
#end
#else
#unroll c LOAD
    {
#unroll r ROWS
      let weights$r = dequantised(quants8(chunk_of(load$r, $cu)), scale$r);
#if GATED
      let paired$r = dequantised(quants8(chunk_of(pair_load$r, $cu)), pair_scale$r);
#endif
#end
      let at = (chunk + $cu) * 2u;
#unroll m COLS
      let raw_low$m = x[x$m + at];
      let raw_high$m = x[x$m + at + 1u];
#if NORM
      squares$m += dot(raw_low$m, raw_low$m) + dot(raw_high$m, raw_high$m);
      let low$m = raw_low$m * norm_weight[at];
      let high$m = raw_high$m * norm_weight[at + 1u];
#else
      let low$m = raw_low$m;
      let high$m = raw_high$m;
#endif
#unroll r ROWS
      sum$r_$m += dot(weights$r.low, low$m) + dot(weights$r.high, high$m);
#if GATED
      gated$r_$m += dot(paired$r.low, low$m) + dot(paired$r.high, high$m);
#endif
#end
#end
    }
#end
#endif
  }
