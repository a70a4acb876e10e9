// Chooses the experts of each token: ids[t, j] = the expert with the j-th highest of logits[t, ..experts], the lower id where two are equal;
// weights[t, j] = its share. SIGMOID: share = sigmoid(logit), else softmax over all experts. RENORMALIZE: shares of the chosen add up to 1.
// All times `scale`. SHARED: weights[t, top_k] = sigmoid(logits[t, experts]), the weight of the expert that all tokens share.
//
// Bindings: logits [T, stride] f32; ids [T, top_k] u32; weights [T, top_k (+ 1)] f32. One workgroup does one token.
#param WG: u32
#param SUBGROUPS: flag
#param SIGMOID: flag
#param RENORMALIZE: flag
#param SHARED: flag
#include "order.wgsl"
#include "reduce.wgsl"
#struct MoeRouteParams

@group(0) @binding(0) var<uniform> params: MoeRouteParams;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;

const MAX_EXPERTS: u32 = 512u;
// An invocation touches only those of its own stride.
var<workgroup> keys: array<u32, MAX_EXPERTS>;

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(-x));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
#if SUBGROUPS
  @builtin(subgroup_size) subgroup_width: u32,
#endif
) {
#if SUBGROUPS
  let width = subgroup_width;
#else
  let width = 1u;
#endif
  let token = group.x;
  let row = token * params.stride;
  for (var expert = lane; expert < params.experts; expert += WG) {
    keys[expert] = order_key(logits[row + expert]);
  }
  var top = 0.0;
  var mine = NOTHING;
  for (var rank = 0u; rank < params.top_k; rank++) {
    var best = NOTHING;
    for (var expert = lane; expert < params.experts; expert += WG) {
      best = better(best, vec2u(keys[expert], expert));
    }
    let winner = workgroup_best(best, lane);
    if (rank == 0u) {
      top = key_value(winner.x);
    }
    if (winner.y < params.experts && winner.y % WG == lane) {
      keys[winner.y] = 0u;
    }
    if (rank == lane) {
      mine = winner;
    }
  }
  let is_chosen = lane < params.top_k;
#if SIGMOID
  let share = select(0.0, sigmoid(key_value(mine.x)), is_chosen);
#else
  let share = select(0.0, exp(key_value(mine.x) - top), is_chosen);
#endif
  var sum = 1.0;
#if RENORMALIZE
  sum = workgroup_sum(share, lane, width);
#else
#if !SIGMOID
  var part = 0.0;
  for (var expert = lane; expert < params.experts; expert += WG) {
    part += exp(logits[row + expert] - top);
  }
  sum = workgroup_sum(part, lane, width);
#endif
#endif
#if SHARED
  let width_of_row = params.top_k + 1u;
  if (lane == 0u) {
    weights[token * width_of_row + params.top_k] = sigmoid(logits[row + params.experts]);
  }
#else
  let width_of_row = params.top_k;
#endif
  if (is_chosen) {
    ids[token * params.top_k + lane] = mine.y;
    weights[token * width_of_row + lane] = share / sum * params.scale;
  }
}
