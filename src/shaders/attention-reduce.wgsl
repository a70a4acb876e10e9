// out = sum_s e^(m[s] - M) o[s] / sum_s e^(m[s] - M) l[s], with M = max m, over the splits s of a long context.
//
// Bindings: scratch [entry][head][max_splits] rows of D sums o and a vec4 (m, l, 0, 0); step: the step's arrays;
// out [T, 4 * out_stride] f32; sinks [heads] f32: a score without a value, which joins the weights once.
// One workgroup gives one head of one entry; entries of one split were written by attention-decode. SLICES shares of the splits
// run side by side, each with a running maximum, so that a long context is no long chain of loads.
#param D: u32
#param SPLIT: u32
#param SLICES: u32
#param SINKS: flag
#include "visible.wgsl"

#struct AttentionReduceParams

@group(0) @binding(0) var<uniform> params: AttentionReduceParams;
@group(0) @binding(1) var<storage, read> scratch: array<vec4f>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
#if SINKS
@group(0) @binding(4) var<storage, read> sinks: array<f32>;
#endif

const VECS: u32 = D / 4u;
const MASKED: f32 = -3.0e38;
// Splits of a slice that are loaded together.
const TOGETHER: u32 = 4u;

#if SLICES > 1
var<workgroup> slice_sums: array<vec4f, SLICES * VECS>;
// (maximum, weights) of a slice.
var<workgroup> slice_states: array<vec2f, SLICES>;
#endif

@compute @workgroup_size(SLICES * VECS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.x;
  let entry = params.first_entry + group.y;
  let context = step[params.context_length + entry];
  let num_splits = (context - first_visible(context, params.window) + SPLIT - 1u) / SPLIT;
  if (num_splits <= 1u) {
    return;
  }
  let rows = (group.y * params.heads + head) * params.max_splits * (VECS + 1u);
  let column = lane % VECS;
  let slice = lane / VECS;
  var highest = MASKED;
  var weights = 0.0;
  var sum = vec4f(0.0);
  for (var first = slice; first < num_splits; first += SLICES * TOGETHER) {
#unroll u 4
    let split$u = first + $uu * SLICES;
    let row$u = rows + min(split$u, num_splits - 1u) * (VECS + 1u);
    let state$u = scratch[row$u + VECS];
    let part$u = scratch[row$u + column];
#end
    let old = highest;
    // Repeats of the last split leave the maximum right and count for nothing.
    highest = max(max(max(state0.x, state1.x), max(state2.x, state3.x)), old);
    let kept = exp(old - highest);
    weights *= kept;
    sum *= kept;
#unroll u 4
    let weight$u = select(0.0, exp(state$u.x - highest), split$u < num_splits);
    weights += weight$u * state$u.y;
    sum += weight$u * part$u;
#end
  }
#if SLICES > 1
  slice_sums[lane] = sum;
  if (column == 0u) {
    slice_states[slice] = vec2f(highest, weights);
  }
  workgroupBarrier();
  if (slice > 0u) {
    return;
  }
  for (var i = 1u; i < SLICES; i++) {
    highest = max(highest, slice_states[i].x);
  }
  let own = exp(slice_states[0].x - highest);
  weights *= own;
  sum *= own;
  for (var i = 1u; i < SLICES; i++) {
    let weight = exp(slice_states[i].x - highest);
    weights += weight * slice_states[i].y;
    sum += weight * slice_sums[i * VECS + column];
  }
#endif
#if SINKS
  let peak = max(highest, sinks[head]);
  let visible = exp(highest - peak);
  weights = weights * visible + exp(sinks[head] - peak);
  sum *= visible;
#endif
  out[entry * params.out_stride + head * VECS + column] = sum / weights;
}
