// The loop of matmul-sums.wgsl for quantised weights and quantised rows of x: each invocation takes a block of 32 elements at a time.
// x<m> counts 16 bytes of quants, two for each block. LOAD gives 16 bytes of weights.
  for (var chunk = first_chunk * 4u; chunk < params.chunks; chunk += chunk_step * 4u) {
    let block = chunk / 4u;
#unroll r ROWS
#if FORMAT == 3
    let first$r = w[(row$r + chunk) / LOAD];
    let second$r = w[(row$r + chunk) / LOAD + 1u];
#else
    let first_load$r = w[(row$r + chunk) / LOAD];
    let first$r = bytes_of(first_load$r.xy);
    let second$r = bytes_of(first_load$r.zw);
#endif
    let scale$r = scale_of(scales[(row$r + chunk) / GROUP_CHUNKS]);
#if GATED
#if FORMAT == 3
    let paired_first$r = w2[(row$r + chunk) / LOAD];
    let paired_second$r = w2[(row$r + chunk) / LOAD + 1u];
#else
    let paired_first_load$r = w2[(row$r + chunk) / LOAD];
    let paired_first$r = bytes_of(paired_first_load$r.xy);
    let paired_second$r = bytes_of(paired_first_load$r.zw);
#endif
    let paired_scale$r = scale_of(scales2[(row$r + chunk) / GROUP_CHUNKS]);
#endif
#end
#unroll m COLS
    {
      let low = x[x$m + block * 2u];
      let high = x[x$m + block * 2u + 1u];
      let x_scale = x_scales[x$m / 2u + block];
#unroll r ROWS
      sum$r_$m += block_product(dot16(first$r, low) + dot16(second$r, high), scale$r, x_scale);
#if GATED
      gated$r_$m += block_product(dot16(paired_first$r, low) + dot16(paired_second$r, high), paired_scale$r, x_scale);
#endif
#end
    }
#end
  }
