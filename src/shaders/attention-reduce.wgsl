// out = sum_s e^(m[s] - M) o[s] / sum_s e^(m[s] - M) l[s], with M = max m, over the splits s of a long context.
//
// Bindings: scratch [entry][head][max_splits] rows of D sums o and a vec4 (m, l, 0, 0); step: the step's arrays;
// out [T, 4 * out_stride] f32. One workgroup gives one head of one entry; entries of one split were written by attention-decode.
#param D: u32
#param SPLIT: u32
#include "kv.wgsl"

#struct AttentionReduceParams

@group(0) @binding(0) var<uniform> params: AttentionReduceParams;
@group(0) @binding(1) var<storage, read> scratch: array<vec4f>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;

const WG: u32 = 32u;
const VECS: u32 = D / 4u;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.x;
  let entry = params.first_entry + group.y;
  let context = step[params.context_length + entry];
  let num_splits = (context - first_visible(context, params.window) + SPLIT - 1u) / SPLIT;
  if (num_splits <= 1u) {
    return;
  }
  let rows = (group.y * params.heads + head) * params.max_splits * (VECS + 1u);
  var highest = -3.0e38;
  for (var split = 0u; split < num_splits; split++) {
    highest = max(highest, scratch[rows + split * (VECS + 1u) + VECS].x);
  }
  for (var column = lane; column < VECS; column += WG) {
    var weights = 0.0;
    var sum = vec4f(0.0);
    for (var split = 0u; split < num_splits; split++) {
      let row = rows + split * (VECS + 1u);
      let state = scratch[row + VECS];
      let weight = exp(state.x - highest);
      weights += weight * state.y;
      sum += weight * scratch[row + column];
    }
    out[entry * params.out_stride + head * VECS + column] = sum / weights;
  }
}
