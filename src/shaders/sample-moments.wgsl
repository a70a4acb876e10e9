// parts[r, c] = (count, mean of x - x_max, sum of squared differences from that mean, 0) of the tokens that are not masked in
// chunk c of row r. The mean is taken first: squares of the logits themselves would cancel.
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
  let first = group.x * CHUNK + lane * 4u;
  let last = min((group.x + 1u) * CHUNK, params.vocab);
  let peak = bitcast<f32>(limits[row].x);
  var mine = vec4f(0.0);
  for (var token = first; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    if (token + $iu < last && x[$i] > BANNED) {
      mine += vec4f(1.0, x[$i] - peak, 0.0, 0.0);
    }
#end
  }
  let sum = workgroup_sum(mine, lane);
  let mean = sum.y / max(sum.x, 1.0);
  var squares = 0.0;
  for (var token = first; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    if (token + $iu < last && x[$i] > BANNED) {
      let difference = x[$i] - peak - mean;
      squares += difference * difference;
    }
#end
  }
  let spread = workgroup_sum(vec4f(squares, 0.0, 0.0, 0.0), lane);
  if (lane == 0u) {
    parts[row * params.chunks + group.x] = vec4f(sum.x, mean, spread.x, 0.0);
  }
}
