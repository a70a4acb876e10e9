// Experts' matrix product for tiles of up to TILE_ROWS pairs with subgroup matrices; formula and bindings: include/moe.wgsl.
//
// As matmul-matrix.wgsl, with the rows of x gathered: those that are packed are x's, so that pairs of one token share theirs.
// Bindings besides: ranges, ranges2 [num_experts, n] f32 with SCALED.
#param SCALED: flag
#include "moe.wgsl"

#if SCALED
@group(0) @binding(11) var<storage, read> ranges: array<f32>;
#if GATED
@group(0) @binding(12) var<storage, read> ranges2: array<f32>;
#endif
#endif

#include "matrix-tile.wgsl"

fn x_from(tile: Tile, place: u32) -> u32 {
  if (place >= tile.count) {
    return NONE;
  }
  return pair_at(tile, place) / params.x_divisor * params.x_stride + 1u;
}

fn w_row(tile: Tile, output: u32) -> u32 {
  return select(NONE, tile.expert * params.n + output, output < params.n);
}

fn finish_sum(tile: Tile, place: u32, output: u32, at: u32) {
  if (place >= tile.count || output >= params.n) {
    return;
  }
  let sums = sums_at(at, x_from(tile, place), w_row(tile, output));
  write_output(pair_at(tile, place), output, sums.sum, sums.gated);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) sublane: u32,
  @builtin(subgroup_size) subgroup_width: u32,
) {
  let tile = tile_at(group.x);
  if (tile.count == 0u || tile.expert >= params.num_experts) {
    return;
  }
  let tile_output = group.y * TILE_OUTPUTS;
  let begin = 0u;
  let end = params.chunks;
#include "matrix-sums.wgsl"
}
