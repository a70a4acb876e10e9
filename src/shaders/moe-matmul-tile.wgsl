// Experts' matrix product for tiles of up to 4 SIDE pairs; formula and bindings: include/moe.wgsl.
//
// As matmul-tile.wgsl, with the rows of x gathered: a tile of 4 SIDE pairs by 4 SIDE outputs, 4 x 4 of them in the named registers of
// each invocation, 32 elements of k staged at a time.
#param SIDE: u32
#include "moe.wgsl"

const WG: u32 = SIDE * SIDE;
const TILE: u32 = SIDE * 4u;
// Chunks of 8 elements along k in one stage, and the padded row of a staged tile (in vec4; odd, against bank conflicts).
const STAGE_CHUNKS: u32 = 4u;
const PITCH: u32 = STAGE_CHUNKS * 2u + 1u;

var<workgroup> pairs: array<u32, TILE>;
var<workgroup> x_tile: array<vec4f, TILE * PITCH>;
var<workgroup> w_tile: array<vec4f, TILE * PITCH>;
#if GATED
var<workgroup> w2_tile: array<vec4f, TILE * PITCH>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tile = tile_at(group.x);
  if (tile.count == 0u || tile.expert >= params.num_experts) {
    return;
  }
  let first_output = group.y * TILE;
  let ty = lane / SIDE;
  let tx = lane % SIDE;
  let row_words = params.chunks * WORDS_PER_CHUNK;
  for (var i = lane; i < TILE; i += WG) {
    pairs[i] = pair_at(tile, i);
  }
  workgroupBarrier();
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
        if (line < tile.count) {
          let at = pairs[line] / params.x_divisor * params.x_stride + chunk * 2u;
          x_low = x[at];
          x_high = x[at + 1u];
        }
        if (first_output + line < params.n) {
          let at = (tile.expert * params.n + first_output + line) * row_words + chunk * WORDS_PER_CHUNK;
          weights = weights_at(at);
#if GATED
          weights2 = weights2_at(at);
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
    let place = ty + $iu * SIDE;
    let output = first_output + tx + $ju * SIDE;
    if (place < tile.count && output < params.n) {
#if GATED
      write_output(pairs[place], output, sum$i$j, gated$i$j);
#else
      write_output(pairs[place], output, sum$i$j, 0.0);
#endif
    }
  }
#end
#end
}
