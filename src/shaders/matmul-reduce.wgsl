// The outputs of a matrix product whose sums were split: adds the parts, always in the same order. Formula: include/matmul.wgsl.
//
// Bindings: partials [parts, sets, rows, n] f32 as include/matmul-part.wgsl writes them. One invocation gives one output.
#param WG: u32
#include "matmul-output.wgsl"

@group(0) @binding(1) var<storage, read> partials: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let output = group.x * WG + lane;
  let row = group.y;
  if (output >= params.n) {
    return;
  }
  let set_size = params.rows * params.n;
  var sum = 0.0;
  var second_sum = 0.0;
  var at = row * params.n + output;
  for (var part = 0u; part < params.parts; part++) {
    sum += partials[at];
    at += set_size;
#if GATED
    second_sum += partials[at];
    at += set_size;
#endif
  }
  write_output(row, output, sum, second_sum);
}
