// Bias, bans and penalties on the tokens that have any, in place; saved[e] = the logit before edit e.
// x = x + bias; x = x > 0 ? x / repetition : x * repetition where the token occurs; x = x - (count * frequency + presence where count > 0)
// - penalty of the step. Masked logits stay masked.
//
// The edits of a row stay here from step to step. Patches are what this step changes: they are used, and entered for the next.
// A row's newest token may lie in next_tokens alone, as the step before left it: it counts as one occurrence more, and where no edit of the
// row names it, it becomes the edit behind the last. The workgroup that does this one looks through the row for it.
//
// Bindings: step: the step's arrays; edits [heap] (token, bias, 2 * count + occurs, penalty); saved [heap] f32; next_tokens [slots];
// logits [S, stride] f32. Grid: (edits of the longest row / WG, S). One invocation does one edit; a row names a token once.
#param WG: u32
#include "edit-row.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> edits: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> saved: array<f32>;
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;
@group(0) @binding(5) var<storage, read> next_tokens: array<u32>;

// Below this a logit is masked, and a bias is a ban: far from both ends, so that no sum or product crosses it by chance.
const BANNED: f32 = -1.0e30;
const NO_TOKEN: u32 = 0xffffffffu;
const PATCH_WORDS: u32 = 5u;

var<workgroup> is_named: atomic<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = params.edit_rows + group.y * EDIT_ROW_WORDS;
  let first = group.x * WG;
  let count = step[row + EDIT_COUNT];
  let is_pending = step[row + EDIT_PENDING];
  if (first >= count + is_pending) {
    return;
  }
  let start = step[row + EDIT_START];
  let patches = params.patches + step[row + EDIT_PATCHES] * PATCH_WORDS;
  let patches_end = patches + step[row + EDIT_PATCHES + 1u] * PATCH_WORDS;
  var pending = NO_TOKEN;
  if (is_pending == 1u) {
    pending = next_tokens[step[params.slots + group.y]];
    if (count < first + WG) {
      // Behind the stable edits lies what another row, or another step, left.
      var is_mine = false;
      for (var i = lane; i < step[row + EDIT_STABLE]; i += WG) {
        is_mine = is_mine || edits[start + i].x == pending;
      }
      for (var at = patches + lane * PATCH_WORDS; at < patches_end; at += WG * PATCH_WORDS) {
        is_mine = is_mine || step[at + 1u] == pending;
      }
      if (is_mine) {
        atomicStore(&is_named, 1u);
      }
      workgroupBarrier();
    }
  }

  let index = first + lane;
  if (index >= count + is_pending) {
    return;
  }
  var edit = vec4u(NO_TOKEN, 0u, 0u, 0u);
  if (index < count) {
    edit = edits[start + index];
    for (var at = patches; at < patches_end; at += PATCH_WORDS) {
      if (step[at] == index) {
        edit = vec4u(step[at + 1u], step[at + 2u], step[at + 3u], step[at + 4u]);
        edits[start + index] = edit;
      }
    }
  } else {
    // For those who look up what was saved.
    edit.x = select(pending, NO_TOKEN, atomicLoad(&is_named) == 1u);
    edits[start + index] = edit;
  }
  if (edit.x >= params.vocab) {
    return;
  }
  let at = group.y * params.stride + edit.x;
  let raw = logits[at];
  saved[start + index] = raw;
  let bias = bitcast<f32>(edit.y);
  if (raw <= BANNED || bias <= BANNED) {
    logits[at] = -3.0e38;
    return;
  }
  let is_newest = edit.x == pending;
  let occurs = (edit.z & 1u) == 1u || is_newest;
  let outputs = (edit.z >> 1u) + select(0u, 1u, is_newest);
  let repetition = bitcast<f32>(step[row + EDIT_REPETITION]);
  let additive = f32(outputs) * bitcast<f32>(step[row + EDIT_REPETITION + 1u]) + bitcast<f32>(step[row + EDIT_REPETITION + 2u]);
  let x = raw + bias;
  let repeated = select(x, select(x * repetition, x / repetition, x > 0.0), occurs);
  logits[at] = repeated - select(0.0, additive, outputs > 0u) - bitcast<f32>(edit.w);
}
