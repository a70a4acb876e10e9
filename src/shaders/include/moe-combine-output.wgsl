// The end of an output that is summed over a token's experts: y[token] += sum (+ the weighted output of the shared expert, SHARED).
#param SHARED: flag
@group(0) @binding(6) var<storage, read> route_weights: array<f32>;
#if SHARED
@group(0) @binding(7) var<storage, read> shared_rows: array<f32>;
#endif

fn add_output(token: u32, output: u32, sum: f32) {
  let at = token * params.y_stride + params.y_column + output;
  var value = y[at] + sum;
#if SHARED
  value += route_weights[token * params.weight_stride + params.top_k] * shared_rows[at];
#endif
  y[at] = value;
}
