// The powers of two that bring each row of a matrix into the range of f16 (include/power-scale.wgsl); once per matrix.
//
// Bindings: those of include/matmul-weights.wgsl; ranges [rows] f32. One workgroup gives one row's.
#param WG: u32
#include "matmul-weights.wgsl"
#include "power-scale.wgsl"
#include "reduce-max.wgsl"

#struct RangeParams

@group(0) @binding(0) var<uniform> params: RangeParams;
@group(0) @binding(2) var<storage, read_write> ranges: array<f32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_size) subgroup_width: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) {
    return;
  }
  let first = row * params.chunks * WORDS_PER_CHUNK;
  var largest = 0u;
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    let at = first + chunk * WORDS_PER_CHUNK;
    let weights = weights_at(at);
    largest = max(largest, max(magnitude_bits(weights.low), magnitude_bits(weights.high)));
  }
  let total = workgroup_max(largest, lane, subgroup_width);
  if (lane == 0u) {
    ranges[row] = power_scale(total);
  }
}
