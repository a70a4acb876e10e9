// The sums of a tile of TILE_ROWS places by TILE_OUTPUTS outputs, in the middle of a kernel: gives each of them to finish_sum.
// A workgroup gives a tile of 2 x 2 subgroups' blocks of ROWS x COLS matrices. The next stage is loaded from memory while this one is
// multiplied. Where subgroups turn out smaller than the largest size, there are more than four; those only help with staging.
// The kernel has declared tile, tile_output (its first output), begin and end (in chunks of k), lane, subgroup, sublane, subgroup_width;
// x_from(tile, place) = where the chunks of a row of x begin, w_row(tile, output) = a row of w, both NONE beyond the edges;
// finish_sum(tile, place, output, at), which is called beyond the edges too, and passes `at` to sums_at.
  let is_used = subgroup < SUBGROUPS_USED;
  let block_row = subgroup / 2u % 2u * ROWS * MATRIX_M;
  let block_output = subgroup % 2u * COLS * MATRIX_N;
#unroll i ROWS
#unroll j COLS
  var sum$i_$j: subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
#if GATED
  var gated$i_$j: subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
#endif
#end
#end
  // Each invocation stages the same slots every time: their scales are read once.
#unroll p (2 * ROWS * MATRIX_M * STAGE_CHUNKS + WG - 1) / WG
  let x_slot$p = lane + $pu * WG;
  let x_from$p = x_from(tile, x_slot$p / STAGE_CHUNKS);
  var x_word$p = load_x(x_from$p, begin + x_slot$p % STAGE_CHUNKS);
#end
#unroll p (2 * COLS * MATRIX_N * STAGE_CHUNKS + WG - 1) / WG
  let w_slot$p = lane + $pu * WG;
  let w_row$p = w_row(tile, tile_output + w_slot$p / STAGE_CHUNKS);
  var w_word$p = Weights();
  var w_scale$p = 1.0;
#if GATED
  var v_word$p = Weights();
  var v_scale$p = 1.0;
#endif
  {
    let at = weight_at(w_row$p, begin + w_slot$p % STAGE_CHUNKS);
    if (at != NONE) {
      w_word$p = load_w(at);
#if GATED
      v_word$p = load_w2(at);
#endif
#if SCALED
      w_scale$p = ranges[w_row$p];
#if GATED
      v_scale$p = ranges2[w_row$p];
#endif
#endif
    }
  }
#end
  for (var first_chunk = begin; first_chunk < end; first_chunk += STAGE_CHUNKS) {
#unroll p (2 * ROWS * MATRIX_M * STAGE_CHUNKS + WG - 1) / WG
    if (x_slot$p < TILE_ROWS * STAGE_CHUNKS) {
      stage[staged_at(x_slot$p)] = x_word$p;
    }
#end
#unroll p (2 * COLS * MATRIX_N * STAGE_CHUNKS + WG - 1) / WG
    if (w_slot$p < TILE_OUTPUTS * STAGE_CHUNKS) {
      stage[W_AT + staged_at(w_slot$p)] = to_f16(w_word$p, w_scale$p);
#if GATED
      stage[W2_AT + staged_at(w_slot$p)] = to_f16(v_word$p, v_scale$p);
#endif
    }
#end
    workgroupBarrier();
    let next_chunk = first_chunk + STAGE_CHUNKS;
    if (next_chunk < end) {
#unroll p (2 * ROWS * MATRIX_M * STAGE_CHUNKS + WG - 1) / WG
      x_word$p = load_x(x_from$p, next_chunk + x_slot$p % STAGE_CHUNKS);
#end
#unroll p (2 * COLS * MATRIX_N * STAGE_CHUNKS + WG - 1) / WG
      {
        let at = weight_at(w_row$p, next_chunk + w_slot$p % STAGE_CHUNKS);
        w_word$p = Weights();
#if GATED
        v_word$p = Weights();
#endif
        if (at != NONE) {
          w_word$p = load_w(at);
#if GATED
          v_word$p = load_w2(at);
#endif
        }
      }
#end
    }
    if (is_used) {
      // A loop that drivers may unroll; unrolled here, it only makes them compile longer.
      for (var k = 0u; k < STAGE_CHUNKS; k += K_WORDS) {
#unroll i ROWS
        let a$i = subgroupMatrixLoad<subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>, row_major>(
          &stage, (block_row + $iu * MATRIX_M) * PITCH + k, PITCH);
#end
#unroll j COLS
        let b$j = subgroupMatrixLoad<subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>, col_major>(
          &stage, W_AT + (block_output + $ju * MATRIX_N) * PITCH + k, PITCH);
#unroll i ROWS
        sum$i_$j = subgroupMatrixMultiplyAccumulate(a$i, b$j, sum$i_$j);
#end
#if GATED
        let c$j = subgroupMatrixLoad<subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>, col_major>(
          &stage, W2_AT + (block_output + $ju * MATRIX_N) * PITCH + k, PITCH);
#unroll i ROWS
        gated$i_$j = subgroupMatrixMultiplyAccumulate(a$i, c$j, gated$i_$j);
#end
#endif
#end
      }
    }
    workgroupBarrier();
  }
  // By way of workgroup memory: tiles reach beyond the edges of y, and the epilogue needs to know the place of a sum.
  let first_word = subgroup * BLOCK_WORDS;
#unroll i ROWS
  if (is_used) {
#unroll j COLS
    subgroupMatrixStore<row_major>(&stage, first_word + $ju * MATRIX_N / 4u, sum$i_$j, BLOCK_WIDTH / 4u);
#if GATED
    subgroupMatrixStore<row_major>(
      &stage, SUBGROUPS_USED * BLOCK_WORDS + first_word + $ju * MATRIX_N / 4u, gated$i_$j, BLOCK_WIDTH / 4u);
#endif
#end
  }
  workgroupBarrier();
  if (is_used) {
    let first_place = block_row + $iu * MATRIX_M;
    for (var i = sublane; i < BLOCK_WORDS * 4u; i += subgroup_width) {
      let place = first_place + i / BLOCK_WIDTH;
      finish_sum(tile, place, tile_output + block_output + i % BLOCK_WIDTH, first_word * 4u + i);
    }
  }
  workgroupBarrier();
#end
