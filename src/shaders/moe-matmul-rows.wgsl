// Experts' matrix product in blocks of ROWS outputs by a tile of up to COLS pairs per invocation; formula and bindings: include/moe.wgsl.
//
// For adapters that compute on the CPU, as matmul-rows.wgsl. COMBINE: an invocation sums all experts of one token, weighted, and adds to y.
#param WG: u32
#param ROWS: u32
#param COLS: u32
#param COMBINE: flag
#include "moe.wgsl"
#if COMBINE
#include "moe-combine-output.wgsl"
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  // Lanes take neighbouring outputs; an invocation's own outputs are WG apart.
  let first_output = group.y * WG * ROWS + lane;
  let last = params.n - 1u;
  let row_words = params.chunks * WORDS_PER_CHUNK;
  let first_chunk = 0u;
  let chunk_step = 1u;
#if COMBINE
  let token = group.x;
#unroll r ROWS
  var total$r = 0.0;
#end
  for (var j = 0u; j < params.top_k; j++) {
    let pair = token * params.top_k + j;
    let expert = lists[pair] - params.first_expert;
    if (expert >= params.num_experts) {
      continue;
    }
    let weight = route_weights[token * params.weight_stride + j];
    let x0 = pair * params.x_stride;
#unroll r ROWS
    let row$r = (expert * params.n + min(first_output + $ru * WG, last)) * row_words;
#end
#include "matmul-sums.wgsl"
#unroll r ROWS
    total$r += weight * sum$r_0;
#end
  }
#unroll r ROWS
  if (first_output + $ru * WG < params.n) {
    add_output(token, first_output + $ru * WG, total$r);
  }
#end
#else
  let tile = tile_at(group.x);
  if (tile.count == 0u || tile.expert >= params.num_experts) {
    return;
  }
#unroll m COLS
  let pair$m = pair_at(tile, $mu);
  let x$m = pair$m / params.x_divisor * params.x_stride;
#end
#unroll r ROWS
  let row$r = (tile.expert * params.n + min(first_output + $ru * WG, last)) * row_words;
#end
#include "matmul-sums.wgsl"
#unroll r ROWS
#unroll m COLS
  {
    let output = first_output + $ru * WG;
    if (output < params.n && $mu < tile.count) {
#if GATED
      write_output(pair$m, output, sum$r_$m, gated$r_$m);
#else
      write_output(pair$m, output, sum$r_$m, 0.0);
#endif
    }
  }
#end
#end
#endif
}
