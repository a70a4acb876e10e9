// The end of each output of a matrix product: bias, activation of a gated pair, accumulation; formula: matmul.wgsl.
// Bindings: bias, bias2 [N] f32; y [T, y_stride] f32.
#param GATED: flag
#param BIAS: flag
#param ACCUMULATE: flag
#include "activation.wgsl"

#struct MatmulParams

@group(0) @binding(0) var<uniform> params: MatmulParams;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#if BIAS
@group(0) @binding(5) var<storage, read> bias: array<f32>;
#endif
#if BIAS && GATED
@group(0) @binding(6) var<storage, read> bias2: array<f32>;
#endif

// Writes one output from its sum, and with GATED from the sum of the second matrix; `row` counts from the first row of this call.
fn write_output(row: u32, output: u32, sum: f32, second_sum: f32) {
  var value = sum;
#if BIAS
  value += bias[params.y_column + output];
#endif
#if GATED
  var second = second_sum;
#if BIAS
  second += bias2[params.y_column + output];
#endif
  value = activate(value) * second;
#endif
  let at = (params.y_row + row) * params.y_stride + params.y_column + output;
#if ACCUMULATE
  value += y[at];
#endif
  y[at] = value;
}
