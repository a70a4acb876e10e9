// y[t] += sum_j weights[t, j] * rows[t * top_k + j], in the order of j; SHARED: + weights[t, top_k] * shared_rows[t].
//
// Bindings: rows [T * top_k, stride], shared_rows and y [T, stride] f32, in vectors of four; weights [T, top_k (+ 1)] f32.
#param WG: u32
#param SHARED: flag
#struct MoeCombineParams

@group(0) @binding(0) var<uniform> params: MoeCombineParams;
@group(0) @binding(1) var<storage, read> rows: array<vec4f>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if SHARED
@group(0) @binding(4) var<storage, read> shared_rows: array<vec4f>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let column = group.x * WG + lane;
  let token = group.y;
  if (column >= params.stride) {
    return;
  }
  var sum = vec4f(0.0);
#if SHARED
  let first_weight = token * (params.top_k + 1u);
#else
  let first_weight = token * params.top_k;
#endif
  for (var j = 0u; j < params.top_k; j++) {
    sum += weights[first_weight + j] * rows[(token * params.top_k + j) * params.stride + column];
  }
  let at = token * params.stride + column;
#if SHARED
  sum += weights[first_weight + params.top_k] * shared_rows[at];
#endif
  y[at] += sum;
}
