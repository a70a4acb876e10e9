// The sums of a tile of quantised weights and rows (dp4a-tile.wgsl), in the middle of a kernel: gives each of them to finish_sum.
// The kernel has declared tile, first_output and lane; x_row(tile, place) = a row of x, w_row(tile, output) = a row of w, both NONE beyond
// the edges; finish_sum(tile, place, output, sum, second_sum), which is called beyond the edges too.
  let ty = lane / SIDE;
  let tx = lane % SIDE;
  let blocks = params.chunks / 4u;
#unroll i 4
#unroll j 4
  var sum$i$j = 0.0;
#if GATED
  var gated$i$j = 0.0;
#endif
#end
#end
  // No more of either in a stage than there are invocations.
  let line = lane / HALVES;
  let x_line = x_row(tile, line);
  let w_line = w_row(tile, first_output + line);
  let scale_line = lane / STAGE;
  let x_scale_line = x_row(tile, scale_line);
  let w_scale_line = w_row(tile, first_output + scale_line);
  for (var first_block = 0u; first_block < blocks; first_block += STAGE) {
    if (lane < TILE * HALVES) {
      let half = first_block * 2u + lane % HALVES;
      let slot = line * PITCH + lane % HALVES;
      var x_quants = vec4u(0u);
      var quants = vec4u(0u);
#if GATED
      var quants2 = vec4u(0u);
#endif
      if (half < blocks * 2u) {
        if (x_line != NONE) {
          x_quants = x[x_line * params.x_stride + half];
        }
        if (w_line != NONE) {
          quants = bytes_of(w[w_line * blocks * 2u + half]);
#if GATED
          quants2 = bytes_of(w2[w_line * blocks * 2u + half]);
#endif
        }
      }
      x_tile[slot] = x_quants;
      w_tile[slot] = quants;
#if GATED
      w2_tile[slot] = quants2;
#endif
    }
    if (lane < TILE * STAGE) {
      let block = first_block + lane % STAGE;
      var x_scale = vec2f(0.0);
      var scale = vec2f(0.0);
#if GATED
      var scale2 = vec2f(0.0);
#endif
      if (block < blocks) {
        if (x_scale_line != NONE) {
          x_scale = x_scales[x_scale_line * blocks + block];
        }
        if (w_scale_line != NONE) {
          let chunk = w_scale_line * params.chunks + block * 4u;
          scale = scale_of(scales[chunk / GROUP_CHUNKS]);
#if GATED
          scale2 = scale_of(scales2[chunk / GROUP_CHUNKS]);
#endif
        }
      }
      x_tile_scales[lane] = x_scale;
      w_tile_scales[lane] = scale;
#if GATED
      w2_tile_scales[lane] = scale2;
#endif
    }
    workgroupBarrier();
    for (var block = 0u; block < STAGE; block++) {
#unroll i 4
      let low$i = x_tile[(ty + $iu * SIDE) * PITCH + block * 2u];
      let high$i = x_tile[(ty + $iu * SIDE) * PITCH + block * 2u + 1u];
      let x_scale$i = x_tile_scales[(ty + $iu * SIDE) * STAGE + block];
#end
#unroll j 4
      {
        let at = (tx + $ju * SIDE) * PITCH + block * 2u;
        let scale = w_tile_scales[(tx + $ju * SIDE) * STAGE + block];
        let low = w_tile[at];
        let high = w_tile[at + 1u];
#unroll i 4
        sum$i$j += block_product(dot16(low$i, low) + dot16(high$i, high), scale, x_scale$i);
#end
      }
#if GATED
      {
        let at = (tx + $ju * SIDE) * PITCH + block * 2u;
        let scale = w2_tile_scales[(tx + $ju * SIDE) * STAGE + block];
        let low = w2_tile[at];
        let high = w2_tile[at + 1u];
#unroll i 4
        gated$i$j += block_product(dot16(low$i, low) + dot16(high$i, high), scale, x_scale$i);
#end
      }
#endif
#end
    }
    workgroupBarrier();
  }
#unroll i 4
#unroll j 4
#if GATED
  finish_sum(tile, ty + $iu * SIDE, first_output + tx + $ju * SIDE, sum$i$j, gated$i$j);
#else
  finish_sum(tile, ty + $iu * SIDE, first_output + tx + $ju * SIDE, sum$i$j, 0.0);
#endif
#end
#end
