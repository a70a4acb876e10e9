// centers[r] = the logit whose information content is the expected one, -log p = H: that is the mean of the kept logits under
// their own distribution, because x - x_max is log p up to a factor and a summand.
//
// Bindings: step: the step's arrays; parts [S, chunks] of sample-masses.wgsl; limits [S], see kept.wgsl; centers [S] f32.
// Grid: entries of the stage. One workgroup does one row.
// Source: Meister et al., "Locally typical sampling" (arXiv 2202.00666).
#param WG: u32
#include "parts.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> parts: array<vec4f>;
@group(0) @binding(3) var<storage, read> limits: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> centers: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = step[params.stage + group.x * 4u];
  var mine = vec4f(0.0);
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    mine += parts[row * params.chunks + chunk];
  }
  let sum = workgroup_sum(mine, lane);
  if (lane == 0u) {
    centers[row] = bitcast<f32>(limits[row].x) + sum.y / max(sum.x, NO_MASS);
  }
}
