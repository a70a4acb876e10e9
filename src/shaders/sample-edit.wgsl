// Bias, bans and penalties on the tokens that have any, in place; saved[e] = the logit before its edit e.
// x = x + bias; x = x > 0 ? x / repetition : x * repetition; x = x - penalty. Masked logits stay masked.
//
// Bindings: step: the step's arrays; edits [numEdits] (token, bias, repetition, penalty); saved [numEdits] f32;
// logits [S, stride] f32. Grid: (edits of the longest row / WG, S). One invocation does one edit; a row names a token once.
#param WG: u32
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> edits: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> saved: array<f32>;
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;

// Below this a logit is masked, and a bias is a ban: far from both ends, so that no sum or product crosses it by chance.
const BANNED: f32 = -1.0e30;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = step[params.edit_start + group.y] + group.x * WG + lane;
  if (index >= step[params.edit_start + group.y + 1u]) {
    return;
  }
  let edit = edits[index];
  if (edit.x >= params.vocab) {
    return;
  }
  let at = group.y * params.stride + edit.x;
  let raw = logits[at];
  saved[index] = raw;
  let bias = bitcast<f32>(edit.y);
  if (raw <= BANNED || bias <= BANNED) {
    logits[at] = -3.0e38;
    return;
  }
  let x = raw + bias;
  let repetition = bitcast<f32>(edit.z);
  logits[at] = select(x * repetition, x / repetition, x > 0.0) - bitcast<f32>(edit.w);
}
