// y[t, column + n] = sum_k w[n, k] * x[t, k] (+ bias[n]) (+ y), one invocation per output.
// GATED: y = activate(w[n] . x (+ bias[n])) * (w2[n] . x (+ bias2[n])).
//
// Bindings as in matmul-gemv.wgsl. For software adapters: an invocation keeps COLS sums of one row of w in named registers,
// and x is read at addresses that all invocations share, which a CPU loads once and broadcasts. No workgroup memory and no barrier,
// both of which such adapters emulate at great cost.
#param WG: u32
#param COLS: u32
#param GATED: flag
#param BIAS: flag
#param ACCUMULATE: flag
#include "weights.wgsl"
#include "activation.wgsl"

#struct MatmulParams

@group(0) @binding(0) var<uniform> params: MatmulParams;
@group(0) @binding(1) var<storage, read> w: array<vec4u>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#if GATED
@group(0) @binding(4) var<storage, read> w2: array<vec4u>;
#endif
#if BIAS
@group(0) @binding(5) var<storage, read> bias: array<f32>;
#endif
#if BIAS && GATED
@group(0) @binding(6) var<storage, read> bias2: array<f32>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let output = group.x * WG + lane;
  let first = group.y * COLS;
  if (output >= params.n) {
    return;
  }
  let row = output * params.chunks * WORDS_PER_CHUNK;
#unroll m COLS
  let x$m = (params.x_row + min(first + $mu, params.rows - 1u)) * params.x_stride;
  var sum$m = 0.0;
#if GATED
  var gated$m = 0.0;
#endif
#end
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let at = row + chunk * WORDS_PER_CHUNK;
    let weights = unpack8(w[at], w[at + WORDS_PER_CHUNK - 1u]);
#if GATED
    let weights2 = unpack8(w2[at], w2[at + WORDS_PER_CHUNK - 1u]);
#endif
#unroll m COLS
    {
      let low = x[x$m + chunk * 2u];
      let high = x[x$m + chunk * 2u + 1u];
      sum$m += dot(weights.low, low) + dot(weights.high, high);
#if GATED
      gated$m += dot(weights2.low, low) + dot(weights2.high, high);
#endif
    }
#end
  }
#unroll m COLS
  if (first + $mu < params.rows) {
    var value = sum$m;
#if BIAS
    value += bias[params.y_column + output];
#endif
#if GATED
#if BIAS
    gated$m += bias2[params.y_column + output];
#endif
    value = activate(value) * gated$m;
#endif
    let at = (params.y_row + first + $mu) * params.y_stride + params.y_column + output;
#if ACCUMULATE
    value += y[at];
#endif
    y[at] = value;
  }
#end
}
