// parts[r, c] = (sum of mass, sum of mass * (x - x_max), count, 0) of the tokens that are kept in chunk c of row r,
// mass = exp((x - x_max) / temperature).
//
// Bindings: step: the step's arrays; logits [S, stride] f32; limits [S], see kept.wgsl; parts [S, chunks].
// Grid: (chunks, entries of the stage). One workgroup does one chunk of the row that its entry names.
#param WG: u32
#param CHUNK: u32
#include "order.wgsl"
#include "kept.wgsl"
#include "parts.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> limits: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> parts: array<vec4f>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = step[params.stage + group.y * 4u];
  let base = row * params.stride;
  let last = min((group.x + 1u) * CHUNK, params.vocab);
  let limit = limits[row];
  let peak = bitcast<f32>(limit.x);
  let scale = 1.0 / bitcast<f32>(step[params.temperature + row]);
  var mine = vec4f(0.0);
  for (var token = group.x * CHUNK + lane * 4u; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    if (token + $iu < last && is_kept(limit, x[$i])) {
      let distance = x[$i] - peak;
      let mass = exp(distance * scale);
      mine += vec4f(mass, mass * distance, 1.0, 0.0);
    }
#end
  }
  let sum = workgroup_sum(mine, lane);
  if (lane == 0u) {
    parts[row * params.chunks + group.x] = sum;
  }
}
