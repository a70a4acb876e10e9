// Chunk c of row r: stats[r, c] = (max, sum of exp(x - max)), and the best (key, token) of each of its 64 blocks.
// Block b of a chunk is what lane b reads: 16 vectors of 4 logits, WG vectors apart. Rows that want no logprobs are skipped.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; stats [S, chunks]; blocks [S, chunks * WG].
// Grid: (chunks, S). One workgroup does one chunk.
#param WG: u32
#param CHUNK: u32
#include "order.wgsl"
#include "reduce.wgsl"
#struct LogprobsParams

@group(0) @binding(0) var<uniform> params: LogprobsParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> blocks: array<vec2u>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  if (bitcast<i32>(step[params.num_logprobs + row]) < 0) {
    return;
  }
  let base = row * params.stride;
  let last = min((group.x + 1u) * CHUNK, params.vocab);
  var best = NOTHING;
  for (var token = group.x * CHUNK + lane * 4u; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    if (token + $iu < last) {
      best = better(best, vec2u(order_key(x[$i]), token + $iu));
    }
#end
  }
  let chunk = row * params.chunks + group.x;
  blocks[chunk * WG + lane] = best;
  let peak = key_value(workgroup_best(best, lane).x);
  var sum = 0.0;
  for (var token = group.x * CHUNK + lane * 4u; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    if (token + $iu < last) {
      sum += exp(x[$i] - peak);
    }
#end
  }
  let total = workgroup_sum(sum, lane, 1u);
  if (lane == 0u) {
    stats[chunk] = vec2f(peak, total);
  }
}
