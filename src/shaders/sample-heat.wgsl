// heats[r] = lowest + (highest - lowest) * (H / log(count))^exponent: the temperature of the draw, by the entropy of what is kept.
//
// Bindings: step: the step's arrays; parts [S, chunks] of sample-masses.wgsl at temperature 1; heats [S] f32.
// Grid: entries of the stage, (row, lowest, highest, exponent). One workgroup does one row.
#param WG: u32
#include "parts.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> parts: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> heats: array<f32>;

// Below this a temperature means greedy, as on the host.
const GREEDY_BELOW: f32 = 1.0e-5;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let entry = params.stage + group.x * 4u;
  let row = step[entry];
  var mine = vec4f(0.0);
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    mine += parts[row * params.chunks + chunk];
  }
  let sum = workgroup_sum(mine, lane);
  if (lane > 0u) {
    return;
  }
  let lowest = bitcast<f32>(step[entry + 1u]);
  let highest = bitcast<f32>(step[entry + 2u]);
  let exponent = bitcast<f32>(step[entry + 3u]);
  var share = 0.0;
  if (sum.z > 1.0) {
    let entropy = log(max(sum.x, NO_MASS)) - sum.y / max(sum.x, NO_MASS);
    share = clamp(entropy / log(sum.z), 0.0, 1.0);
  }
  var heat = lowest;
  if (share > 0.0) {
    heat += (highest - lowest) * pow(share, exponent);
  }
  heats[row] = select(heat, 0.0, heat < GREEDY_BELOW);
}
