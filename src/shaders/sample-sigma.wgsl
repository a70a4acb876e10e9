// Raises limits[r].y to the order key of the lowest logit that top-n-sigma keeps: x >= x_max - n * sigma, with the standard
// deviation over all tokens that are not masked.
//
// Bindings: step: the step's arrays; parts [S, chunks] of sample-moments.wgsl; limits [S], see kept.wgsl.
// Grid: entries of the stage, (row, n). One workgroup does one row.
// Source: Tang et al., "Top-n-sigma: not all logits are you need" (arXiv 2411.07641).
#param WG: u32
#include "order.wgsl"
#include "parts.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> parts: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> limits: array<vec4u>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let entry = params.stage + group.x * 4u;
  let row = step[entry];
  let chunks = row * params.chunks;
  var mine = vec4f(0.0);
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    let part = parts[chunks + chunk];
    mine += vec4f(part.x, part.x * part.y, part.z, 0.0);
  }
  let sum = workgroup_sum(mine, lane);
  let count = max(sum.x, 1.0);
  let mean = sum.y / count;
  // What the chunks' own means leave out: how far these lie from the mean of all.
  mine = vec4f(0.0);
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    let part = parts[chunks + chunk];
    mine.x += part.x * (part.y - mean) * (part.y - mean);
  }
  let between = workgroup_sum(mine, lane);
  if (lane == 0u) {
    let sigma = sqrt((sum.z + between.x) / count);
    let lowest = bitcast<f32>(limits[row].x) - bitcast<f32>(step[entry + 1u]) * sigma;
    limits[row].y = max(limits[row].y, order_key(lowest));
  }
}
