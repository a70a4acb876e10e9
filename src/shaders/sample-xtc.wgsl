// Lowers limits[r].z to the order key of the least probable token that still reaches the threshold: p >= threshold of what is kept
// <=> x >= x_max + temperature * (log(threshold) + log(sum of mass)). Where no second token reaches it, that changes nothing.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; parts [S, chunks] of sample-masses.wgsl; limits [S][4], see kept.wgsl.
// Grid: (chunks, entries of the stage, (row, log threshold)). One workgroup does one chunk; the minimum is the same in any order.
// Source: Weidmann, "Exclude top choices", the sampler of that name in text-generation-webui and llama.cpp.
#param WG: u32
#param CHUNK: u32
#include "order.wgsl"
#include "kept.wgsl"
#include "parts.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> parts: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> limits: array<atomic<u32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let entry = params.stage + group.y * 4u;
  let row = step[entry];
  var mine = vec4f(0.0);
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    mine += parts[row * params.chunks + chunk];
  }
  let total = workgroup_sum(mine, lane).x;
  // Other workgroups lower the highest key meanwhile: what they rule out is never below what they found.
  let limit = vec4u(
    atomicLoad(&limits[row * 4u]),
    atomicLoad(&limits[row * 4u + 1u]),
    atomicLoad(&limits[row * 4u + 2u]),
    0u,
  );
  let temperature = bitcast<f32>(step[params.temperature + row]);
  let lowest = bitcast<f32>(limit.x) + temperature * (bitcast<f32>(step[entry + 1u]) + log(max(total, NO_MASS)));
  let base = row * params.stride;
  let last = min((group.x + 1u) * CHUNK, params.vocab);
  var found = 0u;
  for (var token = group.x * CHUNK + lane * 4u; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    if (token + $iu < last && x[$i] >= lowest && is_kept(limit, x[$i])) {
      found = max(found, ~order_key(x[$i]));
    }
#end
  }
  let winner = workgroup_best(vec2u(found, 0u), lane);
  if (lane == 0u) {
    atomicMin(&limits[row * 4u + 2u], ~winner.x);
  }
}
