// limits[r] = (bits of the largest logit, order key of the smallest logit that min-p keeps or 0 without min-p, no highest key, 1), see
// kept.wgsl. p >= min_p * p_max  <=>  x >= x_max + temperature * log(min_p)
//
// Bindings: step: the step's arrays; peaks [S, chunks] order keys; limits [S]. One workgroup does one row.
#param WG: u32
#include "order.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> peaks: array<u32>;
@group(0) @binding(3) var<storage, read_write> limits: array<vec4u>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  var best = 0u;
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    best = max(best, peaks[row * params.chunks + chunk]);
  }
  let peak = key_value(workgroup_best(vec2u(best, 0u), lane).x);
  if (lane == 0u) {
    let log_min_p = bitcast<f32>(step[params.log_min_p + row]);
    let temperature = bitcast<f32>(step[params.temperature + row]);
    let lowest = order_key(peak + temperature * log_min_p);
    let kept = select(lowest, 0u, log_min_p <= -1.0e30);
    limits[row] = vec4u(bitcast<u32>(peak), kept, 0xffffffffu, bitcast<u32>(1.0));
  }
}
