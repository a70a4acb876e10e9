// What the experts' matrix kernels share: parameters, bindings, which expert a tile belongs to, and the end of each output.
// y[p, column + n] = w[expert of p, n] . x[p / x_divisor]; GATED: activate(w . x) * (w2 . x). A pair p is a token's choice of an expert.
// A shard holds the experts from first_expert on; tiles of others are skipped.
// NORM, GROUP, ZEROS and LOAD as in matmul.wgsl; only tiles of one pair take a norm. PACKED: x comes as matmul-pack.wgsl gives it.
// DP4A: x comes as quantise-rows.wgsl gives it, bytes in x and scales in x_scales [.., 8 * chunks / 32].
// Bindings: w, w2 [num_experts, n, 8 * chunks] packed rows; x [.., 4 * x_stride] f32; y [.., y_stride] f32;
// lists: the expert of each pair with PAIRS (a tile is one pair), else what moe-align.wgsl writes.
#param GATED: flag
#param PAIRS: flag
#param NORM: flag
#param GROUP: u32
#param ZEROS: flag
#param LOAD: u32
#param DP4A: flag
#param PACKED: flag
#include "weights.wgsl"
#include "activation.wgsl"

#struct MoeMatmulParams

#if FORMAT >= 3
#include "weight-groups.wgsl"
#else
alias Load = Word;
#endif

@group(0) @binding(0) var<uniform> params: MoeMatmulParams;
@group(0) @binding(1) var<storage, read> w: array<Load>;
#if PACKED || DP4A
@group(0) @binding(2) var<storage, read> x: array<vec4u>;
#else
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
#endif
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> lists: array<u32>;
#if GATED
@group(0) @binding(5) var<storage, read> w2: array<Load>;
#endif

#if NORM
@group(0) @binding(8) var<storage, read> norm_weight: array<vec4f>;
#endif
#if FORMAT >= 3
@group(0) @binding(9) var<storage, read> scales: array<u32>;
#if GATED
@group(0) @binding(10) var<storage, read> scales2: array<u32>;
#endif
#endif

#if DP4A
#include "dp4a.wgsl"
@group(0) @binding(11) var<storage, read> x_scales: array<vec2f>;
#endif

#include "weight-reads.wgsl"

struct Tile {
  // Counted from the shard's first; one of another shard is beyond the last.
  expert: u32,
  first: u32,
  count: u32,
}

fn tile_at(index: u32) -> Tile {
#if PAIRS
  return Tile(lists[index] - params.first_expert, index, 1u);
#else
  let at = params.tiles_at + index * 3u;
  return Tile(lists[at] - params.first_expert, lists[at + 1u], lists[at + 2u]);
#endif
}

// A place beyond the tile's last gives the last pair again.
fn pair_at(tile: Tile, place: u32) -> u32 {
#if PAIRS
  return tile.first;
#else
  return lists[tile.first + min(place, tile.count - 1u)];
#endif
}

fn write_output(pair: u32, output: u32, sum: f32, second_sum: f32) {
#if GATED
  y[pair * params.y_stride + params.y_column + output] = activate(sum) * second_sum;
#else
  y[pair * params.y_stride + params.y_column + output] = sum;
#endif
}
