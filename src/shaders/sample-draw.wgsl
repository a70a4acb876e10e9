// best[r, c] = (order key of the score, token) of the best token in chunk c of row r: the highest score, then the lowest id.
// score = x + temperature * gumbel(seed, counter, token): the argmax over a row is a sample of softmax(x / temperature), and
// at temperature 0 the plain argmax. TRUNCATE: only tokens that are kept take part, and blocks without one are not read.
// DYNAMIC: where the step has no temperature for a row (-1), heats[r] is it.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; limits [S], see kept.wgsl; blocks [S, chunks * WG] of
// sample-survey.wgsl, read for rows with a lowest key; best [S, chunks]; heats [S] f32. Grid: (chunks, S).
// One workgroup does one chunk, one invocation one block of it, 4 tokens at a time, which share one call of the generator.
#param WG: u32
#param CHUNK: u32
#param TRUNCATE: flag
#param DYNAMIC: flag
#include "order.wgsl"
#include "random.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> best: array<vec2u>;
#if TRUNCATE
@group(0) @binding(4) var<storage, read> limits: array<vec4u>;
@group(0) @binding(5) var<storage, read> blocks: array<vec2u>;
#endif
#if DYNAMIC
@group(0) @binding(6) var<storage, read> heats: array<f32>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let base = row * params.stride;
  let last = min((group.x + 1u) * CHUNK, params.vocab);
  let given = bitcast<f32>(step[params.draw_temperature + row]);
#if DYNAMIC
  let temperature = select(given, heats[row], given < 0.0);
#else
  let temperature = given;
#endif
  let seed = vec2u(step[params.seed_low + row], step[params.seed_high + row]);
  let counter = step[params.counter + row];
  var mine = NOTHING;
  var first = group.x * CHUNK + lane * 4u;
#if TRUNCATE
  let lowest = limits[row].y;
  let highest = limits[row].z;
  // Rows that keep all have not been surveyed.
  if (lowest > 0u && blocks[(row * params.chunks + group.x) * WG + lane].x < lowest) {
    first = last;
  }
#endif
  for (var token = first; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#if TRUNCATE
    if (lowest > 0u && all(order_keys(x) < vec4u(lowest))) {
      continue;
    }
#endif
    var noise = vec4f(0.0);
    if (temperature > 0.0) {
      let words = philox(vec4u(token / 4u, counter, 0u, 0u), seed);
      noise = vec4f(gumbel(words.x), gumbel(words.y), gumbel(words.z), gumbel(words.w));
    }
    let score = x + temperature * noise;
#unroll i 4
#if TRUNCATE
    if (token + $iu < last && order_key(x[$i]) >= lowest && order_key(x[$i]) <= highest) {
#else
    if (token + $iu < last) {
#endif
      mine = better(mine, vec2u(order_key(score[$i]), token + $iu));
    }
#end
  }
  let winner = workgroup_best(mine, lane);
  if (lane == 0u) {
    best[row * params.chunks + group.x] = winner;
  }
}
