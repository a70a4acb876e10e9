// Experts' matrix product for tiles of up to COLS pairs; formula and bindings: include/moe.wgsl.
//
// As matmul-gemv.wgsl: one workgroup gives ROWS outputs for a tile, its invocations stride over k. Tiles run along x, so that workgroups
// that follow one another read the same outputs' weights of one expert, if two tiles share it: the second read is the cache's.
// COMBINE: one workgroup sums all experts of one token, weighted, and adds the result to y.
#param WG: u32
#param ROWS: u32
#param COLS: u32
#param SUBGROUPS: flag
#param COMBINE: flag
#include "moe.wgsl"
#if COMBINE
#include "moe-combine-output.wgsl"
#endif
#if SUBGROUPS
enable subgroups;
diagnostic(off, subgroup_uniformity);
const PARTS: u32 = WG / 4u;
#else
const PARTS: u32 = WG;
#endif

const OUTPUTS: u32 = ROWS * COLS;
#if GATED
const SUMS: u32 = OUTPUTS * 2u;
#else
const SUMS: u32 = OUTPUTS;
#endif
#if NORM
var<workgroup> parts: array<f32, (SUMS + COLS) * PARTS>;
#else
var<workgroup> parts: array<f32, SUMS * PARTS>;
#endif

fn store_part(index: u32, value: f32, lane: u32, width: u32) {
#if SUBGROUPS
  let sum = subgroupAdd(value);
  if (lane % width == 0u) {
    parts[index * PARTS + lane / width] = sum;
  }
#else
  parts[index * PARTS + lane] = value;
#endif
}

fn finish(index: u32, width: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < (WG + width - 1u) / width; i++) {
    sum += parts[index * PARTS + i];
  }
  return sum;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
#if SUBGROUPS
  @builtin(subgroup_size) subgroup_width: u32,
#endif
) {
#if SUBGROUPS
  let width = subgroup_width;
#else
  let width = 1u;
#endif
  let first_output = group.y * ROWS;
  let last = params.n - 1u;
  let row_words = params.chunks * WORDS_PER_CHUNK;
  let first_chunk = lane;
  let chunk_step = WG;
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
    let row$r = (expert * params.n + min(first_output + $ru, last)) * row_words;
#end
#include "matmul-sums.wgsl"
#unroll r ROWS
    total$r += weight * sum$r_0;
#end
  }
#unroll r ROWS
  store_part($ru, total$r, lane, width);
#end
  workgroupBarrier();
  if (lane < ROWS && first_output + lane < params.n) {
    add_output(token, first_output + lane, finish(lane, width));
  }
#else
  let tile = tile_at(group.x);
  if (tile.count == 0u || tile.expert >= params.num_experts) {
    return;
  }
#unroll m COLS
  let x$m = pair_at(tile, $mu) / params.x_divisor * params.x_stride;
#end
#unroll r ROWS
  let row$r = (tile.expert * params.n + min(first_output + $ru, last)) * row_words;
#end
#include "matmul-sums.wgsl"
#unroll r ROWS
#unroll m COLS
  store_part($ru * COLS + $mu, sum$r_$m, lane, width);
#if GATED
  store_part(OUTPUTS + $ru * COLS + $mu, gated$r_$m, lane, width);
#endif
#end
#end
#if NORM
#unroll m COLS
  store_part(SUMS + $mu, squares$m, lane, width);
#end
#endif
  workgroupBarrier();
  for (var i = lane; i < OUTPUTS; i += WG) {
    let output = first_output + i / COLS;
    let place = i % COLS;
    if (output < params.n && place < tile.count) {
#if NORM
      let scale = inverseSqrt(finish(SUMS + place, width) / f32(params.columns) + params.eps);
#else
      let scale = 1.0;
#endif
#if GATED
      write_output(pair_at(tile, place), output, finish(i, width) * scale, finish(OUTPUTS + i, width) * scale);
#else
      write_output(pair_at(tile, place), output, finish(i, width) * scale, 0.0);
#endif
    }
  }
#endif
}
