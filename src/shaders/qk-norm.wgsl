// RMS norm of q and of k, each over its whole width, in place: x = x * rsqrt(mean(x^2) + eps) * weight.
//
// Bindings: qkv [T, stride] f32, columns q | k | v; q_weight [q_columns], k_weight [k_columns]. One workgroup does q or k of one token.
#param WG: u32
#include "reduce.wgsl"
#struct QkNormParams

@group(0) @binding(0) var<uniform> params: QkNormParams;
@group(0) @binding(1) var<storage, read> q_weight: array<f32>;
@group(0) @binding(2) var<storage, read> k_weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> qkv: array<f32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
#if SUBGROUPS
  @builtin(subgroup_size) subgroup_width: u32,
#endif
) {
#if !SUBGROUPS
  let subgroup_width = 1u;
#endif
  let is_key = group.x == 1u;
  let columns = select(params.q_columns, params.k_columns, is_key);
  let first = group.y * params.stride + select(0u, params.q_columns, is_key);
  var squares = 0.0;
  for (var i = lane; i < columns; i += WG) {
    squares += qkv[first + i] * qkv[first + i];
  }
  let scale = inverseSqrt(workgroup_sum(squares, lane, subgroup_width) / f32(columns) + params.eps);
  for (var i = lane; i < columns; i += WG) {
    var weight = 0.0;
    if (is_key) {
      weight = k_weight[i];
    } else {
      weight = q_weight[i];
    }
    qkv[first + i] *= scale * weight;
  }
}
