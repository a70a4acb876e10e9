// y[t, column + n] = sum_k w[n, k] * x[t, k] (+ bias[n]) (+ y), a block of ROWS outputs by COLS rows of x per invocation.
// GATED: y = activate(w[n] . x (+ bias[n])) * (w2[n] . x (+ bias2[n])).
//
// Bindings as in matmul-gemv.wgsl. For adapters that compute on the CPU: an invocation keeps its block in named registers, because
// loads at addresses that differ between lanes are what costs there. No workgroup memory and no barrier, which are emulated.
#param WG: u32
#param ROWS: u32
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
  // Lanes take neighbouring outputs; an invocation's own outputs are WG apart.
  let first_output = group.x * WG * ROWS + lane;
  let first = group.y * COLS;
  let last = params.n - 1u;
  let row_words = params.chunks * WORDS_PER_CHUNK;
#unroll r ROWS
  let row$r = min(first_output + $ru * WG, last) * row_words;
#end
#unroll m COLS
  let x$m = (params.x_row + min(first + $mu, params.rows - 1u)) * params.x_stride;
#end
#unroll r ROWS
#unroll m COLS
  var sum$r_$m = 0.0;
#if GATED
  var gated$r_$m = 0.0;
#endif
#end
#end
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let at = chunk * WORDS_PER_CHUNK;
#unroll m COLS
    let low$m = x[x$m + chunk * 2u];
    let high$m = x[x$m + chunk * 2u + 1u];
#end
#unroll r ROWS
    {
      let weights = unpack8(w[row$r + at], w[row$r + at + WORDS_PER_CHUNK - 1u]);
#unroll m COLS
      sum$r_$m += dot(weights.low, low$m) + dot(weights.high, high$m);
#end
    }
#if GATED
    {
      let weights = unpack8(w2[row$r + at], w2[row$r + at + WORDS_PER_CHUNK - 1u]);
#unroll m COLS
      gated$r_$m += dot(weights.low, low$m) + dot(weights.high, high$m);
#end
    }
#endif
#end
  }
#unroll r ROWS
#unroll m COLS
  {
    let output = first_output + $ru * WG;
    if (output < params.n && first + $mu < params.rows) {
      var value = sum$r_$m;
#if BIAS
      value += bias[params.y_column + output];
#endif
#if GATED
#if BIAS
      gated$r_$m += bias2[params.y_column + output];
#endif
      value = activate(value) * gated$r_$m;
#endif
      let at = (params.y_row + first + $mu) * params.y_stride + params.y_column + output;
#if ACCUMULATE
      value += y[at];
#endif
      y[at] = value;
    }
  }
#end
#end
}
