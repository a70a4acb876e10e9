// log_sums[r] = log sum exp(x[r]); records[first + r] gets the n most probable tokens and their logprobs x - log_sums[r]:
// the ids from word 2 on, the logprobs after them. Order: value descending, then id ascending, exact.
//
// The best of all blocks is taken n times; after each, only its block is searched for what comes next.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; stats [S, chunks] (max, sum of exp); blocks [S, chunks * WG]
// (key, token), consumed; log_sums [S]; records [.., record_words]. One workgroup does one row; lane l owns blocks l, l + WG, ...
#param WG: u32
#param CHUNK: u32
#include "order.wgsl"
#include "reduce.wgsl"
#struct LogprobsParams

@group(0) @binding(0) var<uniform> params: LogprobsParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> blocks: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> log_sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> records: array<u32>;

fn best_block(row: u32, lane: u32) -> vec2u {
  var best = NOTHING;
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    best = better(best, blocks[(row * params.chunks + chunk) * WG + lane]);
  }
  return best;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let wanted = bitcast<i32>(step[params.num_logprobs + row]);
  if (wanted < 0) {
    return;
  }
  var mine = best_block(row, lane);
  let first = workgroup_best(mine, lane);
  let peak = key_value(first.x);
  var sum = 0.0;
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    let part = stats[row * params.chunks + chunk];
    sum += part.y * exp(part.x - peak);
  }
  let log_sum = peak + log(workgroup_sum(sum, lane, 1u));
  if (lane == 0u) {
    log_sums[row] = log_sum;
  }
  let num_top = u32(wanted);
  let ids = (params.first_record + row) * params.record_words + 2u;
  for (var rank = 0u; rank < num_top; rank++) {
    let taken = workgroup_best(mine, lane);
    if (lane == 0u) {
      records[ids + rank] = taken.y;
      records[ids + num_top + rank] = bitcast<u32>(key_value(taken.x) - log_sum);
    }
    let chunk = taken.y / CHUNK;
    let owner = (taken.y / 4u) % WG;
    // CHUNK / WG logits a block: lane l reads its l-th.
    var candidate = NOTHING;
    let token = chunk * CHUNK + ((lane / 4u) * WG + owner) * 4u + lane % 4u;
    if (taken.y != NO_ID && lane < CHUNK / WG && token < params.vocab) {
      let key = order_key(logits[row * params.stride + token]);
      if (key < taken.x || (key == taken.x && token > taken.y)) {
        candidate = vec2u(key, token);
      }
    }
    let next = workgroup_best(candidate, lane);
    if (taken.y != NO_ID && lane == owner) {
      blocks[(row * params.chunks + chunk) * WG + lane] = next;
      mine = best_block(row, lane);
    }
  }
}
