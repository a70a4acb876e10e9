// Raises limits[r].y to the order key of the last logit that Mirostat keeps: a surprise of at most mu bits, and always the best.
// -log2 p <= mu  <=>  x >= x_max + temperature * (log(sum of mass) - mu * ln 2)
//
// Bindings: step: the step's arrays; parts [S, chunks] of sample-masses.wgsl; limits [S], see kept.wgsl.
// Grid: entries of the stage, (row, mu). One workgroup does one row.
// Source: Basu et al., "Mirostat" (arXiv 2007.14966), algorithm 2.
#param WG: u32
#include "order.wgsl"
#include "parts.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> parts: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> limits: array<vec4u>;

const LN_2: f32 = 0.6931471805599453;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let entry = params.stage + group.x * 4u;
  let row = step[entry];
  var mine = vec4f(0.0);
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    mine += parts[row * params.chunks + chunk];
  }
  let sum = workgroup_sum(mine, lane);
  if (lane == 0u) {
    let temperature = bitcast<f32>(step[params.temperature + row]);
    let mu = bitcast<f32>(step[entry + 1u]);
    let peak = bitcast<f32>(limits[row].x);
    let lowest = peak + min(temperature * (log(max(sum.x, NO_MASS)) - mu * LN_2), 0.0);
    limits[row].y = max(limits[row].y, order_key(lowest));
  }
}
