// y[t, column + n] = sum_k w[n, k] * x[t, k] (+ bias[n]) (+ y), for many rows t.
// GATED: y = activate(w[n] . x (+ bias[n])) * (w2[n] . x (+ bias2[n])).
//
// Bindings as in matmul-gemv.wgsl. One workgroup of SIDE x SIDE invocations gives a tile of 4 SIDE rows by 4 SIDE outputs;
// each invocation keeps a 4 x 4 block in named registers. Tiles of x and w are staged in workgroup memory, 32 elements of k
// at a time, with vectors along k: both operands are then read as stored and no transposition is needed.
#param SIDE: u32
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

const WG: u32 = SIDE * SIDE;
const TILE: u32 = SIDE * 4u;
// Chunks of 8 elements along k in one stage, and the padded row of a staged tile (in vec4; odd, against bank conflicts).
const STAGE_CHUNKS: u32 = 4u;
const PITCH: u32 = STAGE_CHUNKS * 2u + 1u;

var<workgroup> x_tile: array<vec4f, TILE * PITCH>;
var<workgroup> w_tile: array<vec4f, TILE * PITCH>;
#if GATED
var<workgroup> w2_tile: array<vec4f, TILE * PITCH>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * TILE;
  let first_output = group.x * TILE;
  let ty = lane / SIDE;
  let tx = lane % SIDE;
  let row_words = params.chunks * WORDS_PER_CHUNK;
#unroll i 4
#unroll j 4
  var sum$i$j = 0.0;
#if GATED
  var gated$i$j = 0.0;
#endif
#end
#end
  for (var first_chunk = 0u; first_chunk < params.chunks; first_chunk += STAGE_CHUNKS) {
    for (var i = lane; i < TILE * STAGE_CHUNKS; i += WG) {
      let line = i / STAGE_CHUNKS;
      let chunk = first_chunk + i % STAGE_CHUNKS;
      let slot = line * PITCH + (i % STAGE_CHUNKS) * 2u;
      var x_low = vec4f(0.0);
      var x_high = vec4f(0.0);
      var weights = Eight(vec4f(0.0), vec4f(0.0));
#if GATED
      var weights2 = Eight(vec4f(0.0), vec4f(0.0));
#endif
      if (chunk < params.chunks) {
        if (first_row + line < params.rows) {
          let at = (params.x_row + first_row + line) * params.x_stride + chunk * 2u;
          x_low = x[at];
          x_high = x[at + 1u];
        }
        if (first_output + line < params.n) {
          let at = (first_output + line) * row_words + chunk * WORDS_PER_CHUNK;
          weights = unpack8(w[at], w[at + WORDS_PER_CHUNK - 1u]);
#if GATED
          weights2 = unpack8(w2[at], w2[at + WORDS_PER_CHUNK - 1u]);
#endif
        }
      }
      x_tile[slot] = x_low;
      x_tile[slot + 1u] = x_high;
      w_tile[slot] = weights.low;
      w_tile[slot + 1u] = weights.high;
#if GATED
      w2_tile[slot] = weights2.low;
      w2_tile[slot + 1u] = weights2.high;
#endif
    }
    workgroupBarrier();
    for (var k = 0u; k < STAGE_CHUNKS * 2u; k++) {
#unroll i 4
      let x$i = x_tile[(ty + $iu * SIDE) * PITCH + k];
#end
#unroll j 4
      let w$j = w_tile[(tx + $ju * SIDE) * PITCH + k];
#if GATED
      let v$j = w2_tile[(tx + $ju * SIDE) * PITCH + k];
#endif
#end
#unroll i 4
#unroll j 4
      sum$i$j += dot(x$i, w$j);
#if GATED
      gated$i$j += dot(x$i, v$j);
#endif
#end
#end
    }
    workgroupBarrier();
  }
#unroll i 4
#unroll j 4
  {
    let row = first_row + ty + $iu * SIDE;
    let output = first_output + tx + $ju * SIDE;
    if (row < params.rows && output < params.n) {
      var value = sum$i$j;
#if BIAS
      value += bias[params.y_column + output];
#endif
#if GATED
#if BIAS
      gated$i$j += bias2[params.y_column + output];
#endif
      value = activate(value) * gated$i$j;
#endif
      let at = (params.y_row + row) * params.y_stride + params.y_column + output;
#if ACCUMULATE
      value += y[at];
#endif
      y[at] = value;
    }
  }
#end
#end
}
