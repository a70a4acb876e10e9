// The last word of a row's record = the surprise of its token among the kept ones, -log2 p as f32 bits.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; limits [S], see kept.wgsl; parts [S, chunks] of sample-masses.wgsl;
// records [S, record_words]. Grid: entries of the stage. One workgroup does one row.
#param WG: u32
#include "parts.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> limits: array<vec4u>;
@group(0) @binding(4) var<storage, read> parts: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;

const LN_2: f32 = 0.6931471805599453;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = step[params.stage + group.x * 4u];
  var mine = vec4f(0.0);
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    mine += parts[row * params.chunks + chunk];
  }
  let sum = workgroup_sum(mine, lane);
  let record = row * params.record_words;
  let token = records[record];
  if (lane == 0u && token < params.vocab) {
    let temperature = bitcast<f32>(step[params.temperature + row]);
    let log_mass = (logits[row * params.stride + token] - bitcast<f32>(limits[row].x)) / temperature;
    records[record + params.record_words - 1u] = bitcast<u32>((log(max(sum.x, NO_MASS)) - log_mass) / LN_2);
  }
}
