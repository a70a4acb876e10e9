// records[first + r] = (rank, logprob) of one given token t of row r: 1 + the number of tokens before it in the order of
// logprobs-top.wgsl (value descending, then id ascending), and x[t] - log_sums[r].
//
// Bindings: step: the step's arrays, with the tokens; logits [S, stride] f32; log_sums [S]; records [.., record_words].
// One workgroup does one row. Counts go through the sum of floats: exact below 2^24 tokens.
#param WG: u32
#include "order.wgsl"
#include "reduce.wgsl"
#struct LogprobsParams

@group(0) @binding(0) var<uniform> params: LogprobsParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> log_sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> records: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let base = row * params.stride;
  let wanted = step[params.targets + row];
  let raw = logits[base + wanted];
  let key = order_key(raw);
  var before = 0.0;
  for (var token = lane; token < params.vocab; token += WG) {
    let other = order_key(logits[base + token]);
    if (other > key || (other == key && token < wanted)) {
      before += 1.0;
    }
  }
  let rank = 1u + u32(workgroup_sum(before, lane, 1u));
  if (lane == 0u) {
    let record = (params.first_record + row) * params.record_words;
    records[record] = rank;
    records[record + 1u] = bitcast<u32>(raw - log_sums[row]);
  }
}
