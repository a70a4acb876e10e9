// y[t] = x[r] * rsqrt(mean(x[r]^2) + eps) * weight, with r = t, or the t-th entry of a row list in the step's arrays.
//
// Bindings: x, y [T, stride] f32; weight [columns] f32; step: the step's arrays. One workgroup gives one row.
#param WG: u32
#param GATHER: flag
#param ONE_SUBGROUP: flag
#if ONE_SUBGROUP
#include "reduce-subgroup.wgsl"
#else
#include "reduce.wgsl"
#endif

#struct RmsNormParams

@group(0) @binding(0) var<uniform> params: RmsNormParams;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#if GATHER
@group(0) @binding(4) var<storage, read> step: array<u32>;
#endif

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
#if GATHER
  let source = step[params.row_list + group.x] * params.stride;
#else
  let source = group.x * params.stride;
#endif
  let target_row = group.x * params.stride;
  var squares = 0.0;
  for (var i = lane; i < params.columns; i += WG) {
    squares += x[source + i] * x[source + i];
  }
  let scale = inverseSqrt(workgroup_sum(squares, lane, subgroup_width) / f32(params.columns) + params.eps);
  for (var i = lane; i < params.columns; i += WG) {
    y[target_row + i] = x[source + i] * scale * weight[i];
  }
}
