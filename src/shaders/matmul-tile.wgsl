// Matrix product for many rows of x, in f32; formula and bindings: include/matmul.wgsl.
//
// One workgroup of LANES_X x LANES_Y invocations gives a tile of LANES_Y * ROWS rows by LANES_X * COLS outputs;
// each invocation keeps its ROWS x COLS block in named registers. Tiles of x and w are staged in workgroup memory, STAGE_CHUNKS * 8
// elements of k at a time, with vectors along k: both operands are then read as stored and no transposition is needed.
#param LANES_X: u32
#param LANES_Y: u32
#param ROWS: u32
#param COLS: u32
// Chunks of 8 elements along k in one stage.
#param STAGE_CHUNKS: u32
#include "matmul.wgsl"
#include "matmul-part.wgsl"

const WG: u32 = LANES_X * LANES_Y;
const TILE_ROWS: u32 = LANES_Y * ROWS;
const TILE_OUTPUTS: u32 = LANES_X * COLS;
// The padded row of a staged tile (in vec4; odd, against bank conflicts).
const PITCH: u32 = STAGE_CHUNKS * 2u + 1u;

var<workgroup> x_tile: array<vec4f, TILE_ROWS * PITCH>;
var<workgroup> w_tile: array<vec4f, TILE_OUTPUTS * PITCH>;
#if GATED
var<workgroup> w2_tile: array<vec4f, TILE_OUTPUTS * PITCH>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_output = group.x * TILE_OUTPUTS;
  let ty = lane / LANES_X;
  let tx = lane % LANES_X;
  let row_words = params.chunks * WORDS_PER_CHUNK;
  let begin = group.z * params.part_chunks;
  let end = min(params.chunks, begin + params.part_chunks);
#unroll i ROWS
#unroll j COLS
  var sum$i_$j = 0.0;
#if GATED
  var gated$i_$j = 0.0;
#endif
#end
#end
  for (var first_chunk = begin; first_chunk < end; first_chunk += STAGE_CHUNKS) {
    for (var i = lane; i < TILE_ROWS * STAGE_CHUNKS; i += WG) {
      let line = i / STAGE_CHUNKS;
      let chunk = first_chunk + i % STAGE_CHUNKS;
      let slot = line * PITCH + (i % STAGE_CHUNKS) * 2u;
      var low = vec4f(0.0);
      var high = vec4f(0.0);
      if (chunk < end && first_row + line < params.rows) {
        let at = (params.x_row + first_row + line) * params.x_stride + chunk * 2u;
        low = x[at];
        high = x[at + 1u];
      }
      x_tile[slot] = low;
      x_tile[slot + 1u] = high;
    }
    for (var i = lane; i < TILE_OUTPUTS * STAGE_CHUNKS; i += WG) {
      let line = i / STAGE_CHUNKS;
      let chunk = first_chunk + i % STAGE_CHUNKS;
      let slot = line * PITCH + (i % STAGE_CHUNKS) * 2u;
      var weights = Eight(vec4f(0.0), vec4f(0.0));
#if GATED
      var weights2 = Eight(vec4f(0.0), vec4f(0.0));
#endif
      if (chunk < end && first_output + line < params.n) {
        let at = (first_output + line) * row_words + chunk * WORDS_PER_CHUNK;
        weights = weights_at(at);
#if GATED
        weights2 = weights2_at(at);
#endif
      }
      w_tile[slot] = weights.low;
      w_tile[slot + 1u] = weights.high;
#if GATED
      w2_tile[slot] = weights2.low;
      w2_tile[slot + 1u] = weights2.high;
#endif
    }
    workgroupBarrier();
    for (var k = 0u; k < STAGE_CHUNKS * 2u; k++) {
#unroll i ROWS
      let x$i = x_tile[(ty + $iu * LANES_Y) * PITCH + k];
#end
#unroll j COLS
      let w$j = w_tile[(tx + $ju * LANES_X) * PITCH + k];
#if GATED
      let v$j = w2_tile[(tx + $ju * LANES_X) * PITCH + k];
#endif
#end
#unroll i ROWS
#unroll j COLS
      sum$i_$j += dot(x$i, w$j);
#if GATED
      gated$i_$j += dot(x$i, v$j);
#endif
#end
#end
    }
    workgroupBarrier();
  }
#unroll i ROWS
#unroll j COLS
  {
    let row = first_row + ty + $iu * LANES_Y;
    let output = first_output + tx + $ju * LANES_X;
    if (row < params.rows && output < params.n) {
#if GATED
      finish_output(row, output, sum$i_$j, gated$i_$j, group.z);
#else
      finish_output(row, output, sum$i_$j, 0.0, group.z);
#endif
    }
  }
#end
#end
}
