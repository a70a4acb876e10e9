// Matrix product of quantised weights and quantised rows of x, for many rows; formula and bindings: include/matmul.wgsl.
//
// As matmul-tile.wgsl: a workgroup of 16 x 16 invocations gives a tile of 64 rows by 64 outputs, each invocation a 4 x 4 block.
// Staged are bytes, 32 elements of k to a block; a block's sum is an exact integer and is scaled once.
#include "matmul.wgsl"

const SIDE: u32 = 16u;
const WG: u32 = SIDE * SIDE;
const TILE: u32 = SIDE * 4u;
// Blocks in one stage. A pair of matrices takes one, to stay within 16 KiB.
#if GATED
const STAGE: u32 = 1u;
#else
const STAGE: u32 = 2u;
#endif
// Halves of a block in a staged row, padded to an odd number against bank conflicts.
const HALVES: u32 = STAGE * 2u;
const PITCH: u32 = HALVES + 1u;

var<workgroup> x_tile: array<vec4u, TILE * PITCH>;
var<workgroup> x_tile_scales: array<vec2f, TILE * STAGE>;
var<workgroup> w_tile: array<vec4u, TILE * PITCH>;
var<workgroup> w_tile_scales: array<vec2f, TILE * STAGE>;
#if GATED
var<workgroup> w2_tile: array<vec4u, TILE * PITCH>;
var<workgroup> w2_tile_scales: array<vec2f, TILE * STAGE>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = group.y * TILE;
  let first_output = group.x * TILE;
  let ty = lane / SIDE;
  let tx = lane % SIDE;
  let blocks = params.chunks / 4u;
#unroll i 4
#unroll j 4
  var sum$i$j = 0.0;
#if GATED
  var gated$i$j = 0.0;
#endif
#end
#end
  for (var first_block = 0u; first_block < blocks; first_block += STAGE) {
    for (var i = lane; i < TILE * HALVES; i += WG) {
      let line = i / HALVES;
      let half = first_block * 2u + i % HALVES;
      let slot = line * PITCH + i % HALVES;
      var x_quants = vec4u(0u);
      var quants = vec4u(0u);
#if GATED
      var quants2 = vec4u(0u);
#endif
      if (half < blocks * 2u) {
        if (first_row + line < params.rows) {
          x_quants = x[(params.x_row + first_row + line) * params.x_stride + half];
        }
        if (first_output + line < params.n) {
          quants = bytes_of(w[(first_output + line) * blocks * 2u + half]);
#if GATED
          quants2 = bytes_of(w2[(first_output + line) * blocks * 2u + half]);
#endif
        }
      }
      x_tile[slot] = x_quants;
      w_tile[slot] = quants;
#if GATED
      w2_tile[slot] = quants2;
#endif
    }
    for (var i = lane; i < TILE * STAGE; i += WG) {
      let line = i / STAGE;
      let block = first_block + i % STAGE;
      var x_scale = vec2f(0.0);
      var scale = vec2f(0.0);
#if GATED
      var scale2 = vec2f(0.0);
#endif
      if (block < blocks) {
        if (first_row + line < params.rows) {
          x_scale = x_scales[(params.x_row + first_row + line) * blocks + block];
        }
        if (first_output + line < params.n) {
          let chunk = (first_output + line) * params.chunks + block * 4u;
          scale = scale_of(scales[chunk / GROUP_CHUNKS]);
#if GATED
          scale2 = scale_of(scales2[chunk / GROUP_CHUNKS]);
#endif
        }
      }
      x_tile_scales[i] = x_scale;
      w_tile_scales[i] = scale;
#if GATED
      w2_tile_scales[i] = scale2;
#endif
    }
    workgroupBarrier();
    for (var block = 0u; block < STAGE; block++) {
#unroll i 4
      let low$i = x_tile[(ty + $iu * SIDE) * PITCH + block * 2u];
      let high$i = x_tile[(ty + $iu * SIDE) * PITCH + block * 2u + 1u];
      let x_scale$i = x_tile_scales[(ty + $iu * SIDE) * STAGE + block];
#end
#unroll j 4
      {
        let at = (tx + $ju * SIDE) * PITCH + block * 2u;
        let scale = w_tile_scales[(tx + $ju * SIDE) * STAGE + block];
        let low = w_tile[at];
        let high = w_tile[at + 1u];
#unroll i 4
        sum$i$j += block_product(dot16(low$i, low) + dot16(high$i, high), scale, x_scale$i);
#end
      }
#if GATED
      {
        let at = (tx + $ju * SIDE) * PITCH + block * 2u;
        let scale = w2_tile_scales[(tx + $ju * SIDE) * STAGE + block];
        let low = w2_tile[at];
        let high = w2_tile[at + 1u];
#unroll i 4
        gated$i$j += block_product(dot16(low$i, low) + dot16(high$i, high), scale, x_scale$i);
#end
      }
#endif
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
