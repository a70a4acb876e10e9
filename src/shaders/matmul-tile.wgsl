// Matrix product for many rows of x; formula and bindings: include/matmul.wgsl.
//
// One workgroup of SIDE x SIDE invocations gives a tile of 4 SIDE rows by 4 SIDE outputs;
// each invocation keeps a 4 x 4 block in named registers. Tiles of x and w are staged in workgroup memory, 32 elements of k
// at a time, with vectors along k: both operands are then read as stored and no transposition is needed.
#param SIDE: u32
#include "matmul.wgsl"

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
#if GATED
      write_output(row, output, sum$i$j, gated$i$j);
#else
      write_output(row, output, sum$i$j, 0.0);
#endif
    }
  }
#end
#end
}
