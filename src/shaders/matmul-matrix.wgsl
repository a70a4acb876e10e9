// Matrix product for many rows of x with subgroup matrices (tensor cores); formula: include/matmul.wgsl. Any format but f32.
//
// Operands are f16, sums f32; how they are scaled: include/matrix-tile.wgsl. The outputs are scaled back, so that what is lost
// is rounding to 11 bits, and only numbers 2^29 times smaller than their row's largest lose more.
#param SCALED: flag
#include "matmul-weights.wgsl"
#include "matmul-output.wgsl"
#include "matmul-part.wgsl"

@group(0) @binding(2) var<storage, read> x: array<vec4u>;
#if SCALED
@group(0) @binding(10) var<storage, read> ranges: array<f32>;
#if GATED
@group(0) @binding(11) var<storage, read> ranges2: array<f32>;
#endif
#endif

#include "matrix-tile.wgsl"

struct Tile {
  first_row: u32,
  part: u32,
}

fn x_from(tile: Tile, place: u32) -> u32 {
  let row = tile.first_row + place;
  return select(NONE, row * params.x_stride + 1u, row < params.rows);
}

fn w_row(tile: Tile, output: u32) -> u32 {
  return select(NONE, output, output < params.n);
}

fn finish_sum(tile: Tile, place: u32, output: u32, at: u32) {
  let x_at = x_from(tile, place);
  if (x_at == NONE || output >= params.n) {
    return;
  }
  let sums = sums_at(at, x_at, output);
  finish_output(tile.first_row + place, output, sums.sum, sums.gated, tile.part);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) sublane: u32,
  @builtin(subgroup_size) subgroup_width: u32,
) {
  let tile = Tile(group.y * TILE_ROWS, group.z);
  let tile_output = group.x * TILE_OUTPUTS;
  let begin = tile.part * params.part_chunks;
  let end = min(params.chunks, begin + params.part_chunks);
#include "matrix-sums.wgsl"
}
