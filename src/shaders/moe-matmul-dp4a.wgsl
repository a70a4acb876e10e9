// Experts' matrix product of quantised weights and quantised rows of x for tiles of up to 64 pairs; formula and bindings: include/moe.wgsl.
//
// As matmul-dp4a.wgsl, with the rows of x gathered.
#include "moe.wgsl"
#include "dp4a-tile.wgsl"

fn x_row(tile: Tile, place: u32) -> u32 {
  if (place >= tile.count) {
    return NONE;
  }
  return pair_at(tile, place) / params.x_divisor;
}

fn w_row(tile: Tile, output: u32) -> u32 {
  return select(NONE, tile.expert * params.n + output, output < params.n);
}

fn finish_sum(tile: Tile, place: u32, output: u32, sum: f32, second_sum: f32) {
  if (place < tile.count && output < params.n) {
    write_output(pair_at(tile, place), output, sum, second_sum);
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tile = tile_at(group.x);
  if (tile.count == 0u || tile.expert >= params.num_experts) {
    return;
  }
  let first_output = group.y * TILE;
#include "dp4a-sums.wgsl"
}
