// Rows of x as f16 for the kernel with subgroup matrices, each scaled by a power of two of its own (include/power-scale.wgsl).
//
// Bindings: x [T, 4 * x_stride] f32; packed [rows, row_words] u32 x 4: a row's first word begins with the inverse of its scale, then come
// its chunks of 8 elements, with zeros up to whole stages. One workgroup packs one row.
#param WG: u32
enable f16;
#include "power-scale.wgsl"
#include "reduce-max.wgsl"

#struct PackParams

@group(0) @binding(0) var<uniform> params: PackParams;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> packed: array<vec4u>;

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
  let source = (params.x_row + row) * params.x_stride;
  let target_row = row * params.row_words;
  var largest = 0u;
  for (var i = lane; i < params.chunks * 2u; i += WG) {
    largest = max(largest, magnitude_bits(x[source + i]));
  }
  let scale = power_scale(workgroup_max(largest, lane, subgroup_width));
  if (lane == 0u) {
    packed[target_row] = vec4u(bitcast<u32>(inverse_power(scale)), 0u, 0u, 0u);
  }
  for (var chunk = lane; chunk + 1u < params.row_words; chunk += WG) {
    var word = vec4u(0u);
    if (chunk < params.chunks) {
      let low = vec4<f16>(x[source + chunk * 2u] * scale);
      let high = vec4<f16>(x[source + chunk * 2u + 1u] * scale);
      word = vec4u(bitcast<vec2u>(low), bitcast<vec2u>(high));
    }
    packed[target_row + 1u + chunk] = word;
  }
}
