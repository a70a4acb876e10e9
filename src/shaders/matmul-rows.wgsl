// Matrix product in blocks of ROWS outputs by COLS rows of x per invocation; formula and bindings: include/matmul.wgsl.
//
// For adapters that compute on the CPU: an invocation keeps its block in named registers, because
// loads at addresses that differ between lanes are what costs there. No workgroup memory and no barrier, which are emulated.
#param WG: u32
#param ROWS: u32
#param COLS: u32
#include "matmul.wgsl"

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
  let first_chunk = 0u;
  let chunk_step = 1u;
#include "matmul-sums.wgsl"
#unroll r ROWS
#unroll m COLS
  {
    let output = first_output + $ru * WG;
    if (output < params.n && first + $mu < params.rows) {
#if GATED
      write_output(first + $mu, output, sum$r_$m, gated$r_$m);
#else
      write_output(first + $mu, output, sum$r_$m, 0.0);
#endif
    }
  }
#end
#end
}
