// The loops of gemv-sums.wgsl for quantised weights in loads of 16 bytes, which is LOAD chunks of a row for each lane and step.
// The x of neighbouring lanes then lies 64 or 128 bytes apart, so that the workgroup first copies the x of a stride into its memory, line by
// line and normed on the way; the weights are under way meanwhile. Beyond the end of a row x is 0 and the last weights are read again.
// Places in the copy are permuted within 128 bytes by place / 8: without this, lanes that read side by side would meet in one bank.
// Limits: one or two rows of x.
#unroll p 2
#if $p == 1 || UNROLL > 1
#if $p == 0
  for (var first = 0u; first < main_end; first += WG * UNROLL * LOAD) {
#else
  for (var first = main_end; first < params.chunks; first += WG * LOAD) {
#endif
#unroll s 1 + (1 - $p) * (UNROLL - 1)
#if $p == 0
    let chunk$s = first + ($su * WG + lane) * LOAD;
#else
    let chunk$s = min(first + lane * LOAD, params.chunks - LOAD);
#endif
#unroll r ROWS
    let load$s_$r = w[(row$r + chunk$s) / LOAD];
    let pair$s_$r = scales[(row$r + chunk$s) / GROUP_CHUNKS];
#if GATED
    let second_load$s_$r = w2[(row$r + chunk$s) / LOAD];
    let second_pair$s_$r = scales2[(row$r + chunk$s) / GROUP_CHUNKS];
#endif
#end
#end
#unroll m COLS
    {
#unroll i (1 + (1 - $p) * (UNROLL - 1)) * LOAD * 2
      let place$i = first * 2u + $iu * WG + lane;
#if $p == 0
      let raw$i = x[x$m + place$i];
#else
      let is_in$i = place$i < params.chunks * 2u;
      let raw$i = select(vec4f(0.0), x[x$m + min(place$i, params.chunks * 2u - 1u)], is_in$i);
#endif
#end
#unroll i (1 + (1 - $p) * (UNROLL - 1)) * LOAD * 2
#if NORM
      squares$m += dot(raw$i, raw$i);
      staged[$mu * STAGED + permuted($iu * WG + lane)] = raw$i * norm_weight[min(place$i, params.chunks * 2u - 1u)];
#else
      staged[$mu * STAGED + permuted($iu * WG + lane)] = raw$i;
#endif
#end
    }
#end
    workgroupBarrier();
#unroll s 1 + (1 - $p) * (UNROLL - 1)
    {
#unroll m COLS
#unroll c LOAD
      let low$m_$c = staged[$mu * STAGED + permuted((($su * WG + lane) * LOAD + $cu) * 2u)];
      let high$m_$c = staged[$mu * STAGED + permuted((($su * WG + lane) * LOAD + $cu) * 2u + 1u)];
#end
#if ZEROS
      var all$m = vec4f(0.0);
#unroll c LOAD
      all$m += low$m_$c + high$m_$c;
#end
      let total$m = dot(all$m, vec4f(1.0));
#endif
#end
#unroll r ROWS
      {
        let scale = scale_of(pair$s_$r);
#unroll c LOAD
        let quants$c = quants8(chunk_of(load$s_$r, $cu));
#end
#unroll m COLS
        {
          var part = 0.0;
#unroll c LOAD
          part += dot(quants$c.low, low$m_$c) + dot(quants$c.high, high$m_$c);
#end
          sum$r_$m += scale.x * part;
#if ZEROS
          sum$r_$m -= scale.y * total$m;
#endif
        }
#end
      }
#if GATED
      {
        let scale = scale_of(second_pair$s_$r);
#unroll c LOAD
        let quants$c = quants8(chunk_of(second_load$s_$r, $cu));
#end
#unroll m COLS
        {
          var part = 0.0;
#unroll c LOAD
          part += dot(quants$c.low, low$m_$c) + dot(quants$c.high, high$m_$c);
#end
          gated$r_$m += scale.x * part;
#if ZEROS
          gated$r_$m -= scale.y * total$m;
#endif
        }
#end
      }
#endif
#end
    }
#end
    workgroupBarrier();
  }
#endif
#end
