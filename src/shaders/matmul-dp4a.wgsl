// Matrix product of quantised weights and quantised rows of x, for many rows; formula and bindings: include/matmul.wgsl.
//
// As matmul-tile.wgsl; how a tile is computed: include/dp4a-tile.wgsl.
#include "matmul.wgsl"
#include "dp4a-tile.wgsl"

// A tile is known by its first row.
fn x_row(tile: u32, place: u32) -> u32 {
  return select(NONE, params.x_row + tile + place, tile + place < params.rows);
}

fn w_row(tile: u32, output: u32) -> u32 {
  return select(NONE, output, output < params.n);
}

fn finish_sum(tile: u32, place: u32, output: u32, sum: f32, second_sum: f32) {
  if (tile + place < params.rows && output < params.n) {
    write_output(tile + place, output, sum, second_sum);
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tile = group.y * TILE;
  let first_output = group.x * TILE;
#include "dp4a-sums.wgsl"
}
