// records[r, 0] = the row's token, or NO_ID when no logit was finite; LOGPROBS: records[r, 1] = its raw logit - log-sum-exp.
//
// KEEP: next_tokens[slot of r] is the same token, for the embedding of the next step.
//
// Bindings: best [S, chunks] (score key, token); records [S, record_words]; for KEEP and LOGPROBS also step: the step's arrays; for
// LOGPROBS also logits [S, stride] f32, edits [heap] and saved [heap] (the logit before an edit), log_sums [S]. One workgroup does one row.
#param WG: u32
#param LOGPROBS: flag
#param KEEP: flag
#include "order.wgsl"
#include "edit-row.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> best: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> records: array<u32>;
#if KEEP
@group(0) @binding(8) var<storage, read_write> next_tokens: array<u32>;
#endif
#if KEEP || LOGPROBS
@group(0) @binding(3) var<storage, read> step: array<u32>;
#endif
#if LOGPROBS
@group(0) @binding(4) var<storage, read> logits: array<f32>;
@group(0) @binding(5) var<storage, read> edits: array<vec4u>;
@group(0) @binding(6) var<storage, read> saved: array<f32>;
@group(0) @binding(7) var<storage, read> log_sums: array<f32>;
#endif

// Keys of the finite numbers lie between these: a NaN or an infinity means that the model's output is broken.
const LOWEST_FINITE: u32 = 0x00800000u;
const HIGHEST_FINITE: u32 = 0xff7fffffu;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  var mine = NOTHING;
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    mine = better(mine, best[row * params.chunks + chunk]);
  }
  let winner = workgroup_best(mine, lane);
  let is_valid = winner.x >= LOWEST_FINITE && winner.x <= HIGHEST_FINITE && winner.y < params.vocab;
  let record = row * params.record_words;
  if (lane == 0u) {
    let token = select(NO_ID, winner.y, is_valid);
    records[record] = token;
#if KEEP
    next_tokens[step[params.slots + row]] = token;
#endif
  }
#if LOGPROBS
  if (bitcast<i32>(step[params.num_logprobs + row]) < 0) {
    return;
  }
  // At most one edit names the token. Its index goes through the reduction as the id: no edit is an id, too.
  var found = NOTHING;
  let entry = params.edit_rows + row * EDIT_ROW_WORDS;
  let end = step[entry + EDIT_START] + step[entry + EDIT_COUNT] + step[entry + EDIT_PENDING];
  for (var index = step[entry + EDIT_START] + lane; index < end; index += WG) {
    if (edits[index].x == winner.y) {
      found = vec2u(1u, index);
    }
  }
  let edit = workgroup_best(found, lane);
  if (lane == 0u && is_valid) {
    var raw = logits[row * params.stride + winner.y];
    if (edit.x == 1u) {
      raw = saved[edit.y];
    }
    records[record + 1u] = bitcast<u32>(raw - log_sums[row]);
  }
#endif
}
