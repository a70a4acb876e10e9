// peaks[r, c] = order key of the largest logit in chunk c of row r.
//
// Bindings: logits [S, stride] f32; peaks [S, chunks]. Grid: (chunks, S). One workgroup does one chunk.
#param WG: u32
#param CHUNK: u32
#include "order.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> peaks: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let base = group.y * params.stride;
  let last = min((group.x + 1u) * CHUNK, params.vocab);
  var best = 0u;
  for (var first = group.x * CHUNK + lane * 4u; first < last; first += WG * 4u) {
    let x = logits[(base + first) / 4u];
#unroll i 4
    if (first + $iu < last) {
      best = max(best, order_key(x[$i]));
    }
#end
  }
  let winner = workgroup_best(vec2u(best, 0u), lane);
  if (lane == 0u) {
    peaks[group.y * params.chunks + group.x] = winner.x;
  }
}
