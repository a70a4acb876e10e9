// Matrix product for many rows of x with subgroup matrices (tensor cores); formula: include/matmul.wgsl. Any format but f32.
//
// Operands are f16, sums f32. x comes packed by matmul-pack.wgsl, each row scaled by a power of two; with SCALED, w is scaled by rows on
// its way into workgroup memory (ranges, by matmul-range.wgsl), because bf16 reaches far beyond f16. The outputs are scaled back, so that what is lost
// is rounding to 11 bits, and only numbers 2^29 times smaller than their row's largest lose more.
// A workgroup gives a tile of 2 x 2 subgroups' blocks of ROWS x COLS matrices. The next stage is loaded from memory while this one is
// multiplied. Where subgroups turn out smaller than the largest size, there are more than four; those only help with staging.
#param MATRIX_M: u32
#param MATRIX_N: u32
#param MATRIX_K: u32
#param ROWS: u32
#param COLS: u32
#param STAGE_CHUNKS: u32
#param WG: u32
#param SCALED: flag
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
#include "matmul-weights.wgsl"
#include "matmul-output.wgsl"
#include "matmul-part.wgsl"
#include "power-scale.wgsl"

@group(0) @binding(2) var<storage, read> x: array<vec4u>;
#if SCALED
@group(0) @binding(10) var<storage, read> ranges: array<f32>;
#if GATED
@group(0) @binding(11) var<storage, read> ranges2: array<f32>;
#endif
#endif

const SUBGROUPS_USED: u32 = 4u;
const TILE_ROWS: u32 = 2u * ROWS * MATRIX_M;
const TILE_OUTPUTS: u32 = 2u * COLS * MATRIX_N;
// Words of 8 elements in a padded row of a staged tile; odd, against bank conflicts.
const PITCH: u32 = STAGE_CHUNKS + 1u;
const K_WORDS: u32 = MATRIX_K / 8u;
// Where the tiles of w begin in `stage`, behind that of x.
const W_AT: u32 = TILE_ROWS * PITCH;
const W2_AT: u32 = W_AT + TILE_OUTPUTS * PITCH;
// Words of the sums that a subgroup writes out at a time: one row of its matrices.
const BLOCK_WIDTH: u32 = COLS * MATRIX_N;
const BLOCK_WORDS: u32 = MATRIX_M * BLOCK_WIDTH / 4u;
#if GATED
const STAGED: u32 = W2_AT + TILE_OUTPUTS * PITCH;
const WRITTEN: u32 = SUBGROUPS_USED * BLOCK_WORDS * 2u;
#else
const STAGED: u32 = W2_AT;
const WRITTEN: u32 = SUBGROUPS_USED * BLOCK_WORDS;
#endif

// The operands' tiles as f16, and after them the sums as f32.
var<workgroup> stage: array<vec4u, max(STAGED, WRITTEN)>;

// Where a staged word goes; `slot` counts the words of a stage row by row.
fn place(slot: u32) -> u32 {
  return slot / STAGE_CHUNKS * PITCH + slot % STAGE_CHUNKS;
}

fn load_x(row: u32, chunk: u32) -> vec4u {
  if (row >= params.rows) {
    return vec4u(0u);
  }
  return x[row * params.x_stride + 1u + chunk];
}

// The index of a word of w, or of the first one beyond: the caller has to look.
fn weight_at(output: u32, chunk: u32) -> u32 {
  return select(0xffffffffu, output * params.chunks + chunk, output < params.n && chunk < params.chunks);
}

// A chunk of weights as loaded, with the scale of its group; kept so until it is needed, because unpacking would wait for the load.
struct Weights {
  word: Word,
#if FORMAT >= 3
  pair: u32,
#endif
}

fn load_w(at: u32) -> Weights {
#if FORMAT >= 3
  return Weights(w[at], scales[at / GROUP_CHUNKS]);
#else
  return Weights(w[at]);
#endif
}

#if GATED
fn load_w2(at: u32) -> Weights {
#if FORMAT >= 3
  return Weights(w2[at], scales2[at / GROUP_CHUNKS]);
#else
  return Weights(w2[at]);
#endif
}
#endif

fn to_f16(loaded: Weights, scale: f32) -> vec4u {
#if SCALED
#if FORMAT >= 3
  let weights = dequantised(quants8(loaded.word), scale_of(loaded.pair));
#else
  let weights = unpack8(loaded.word, loaded.word);
#endif
  return vec4u(bitcast<vec2u>(vec4<f16>(weights.low * scale)), bitcast<vec2u>(vec4<f16>(weights.high * scale)));
#else
  return loaded.word;
#endif
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) sublane: u32,
  @builtin(subgroup_size) subgroup_width: u32,
) {
  let tile_row = group.y * TILE_ROWS;
  let tile_output = group.x * TILE_OUTPUTS;
  let begin = group.z * params.part_chunks;
  let end = min(params.chunks, begin + params.part_chunks);
  let is_used = subgroup < SUBGROUPS_USED;
  let block_row = subgroup / 2u % 2u * ROWS * MATRIX_M;
  let block_output = subgroup % 2u * COLS * MATRIX_N;
#unroll i ROWS
#unroll j COLS
  var sum$i_$j: subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
#if GATED
  var gated$i_$j: subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
#endif
#end
#end
  // Each invocation stages the same slots every time: their scales are read once.
#unroll p (2 * ROWS * MATRIX_M * STAGE_CHUNKS + WG - 1) / WG
  let x_slot$p = lane + $pu * WG;
  var x_word$p = load_x(tile_row + x_slot$p / STAGE_CHUNKS, begin + x_slot$p % STAGE_CHUNKS);
#end
#unroll p (2 * COLS * MATRIX_N * STAGE_CHUNKS + WG - 1) / WG
  let w_slot$p = lane + $pu * WG;
  let output$p = tile_output + w_slot$p / STAGE_CHUNKS;
  var w_word$p = Weights();
  var w_scale$p = 1.0;
#if GATED
  var v_word$p = Weights();
  var v_scale$p = 1.0;
#endif
  {
    let at = weight_at(output$p, begin + w_slot$p % STAGE_CHUNKS);
    if (at != 0xffffffffu) {
      w_word$p = load_w(at);
#if GATED
      v_word$p = load_w2(at);
#endif
#if SCALED
      w_scale$p = ranges[output$p];
#if GATED
      v_scale$p = ranges2[output$p];
#endif
#endif
    }
  }
#end
  for (var first_chunk = begin; first_chunk < end; first_chunk += STAGE_CHUNKS) {
#unroll p (2 * ROWS * MATRIX_M * STAGE_CHUNKS + WG - 1) / WG
    if (x_slot$p < TILE_ROWS * STAGE_CHUNKS) {
      stage[place(x_slot$p)] = x_word$p;
    }
#end
#unroll p (2 * COLS * MATRIX_N * STAGE_CHUNKS + WG - 1) / WG
    if (w_slot$p < TILE_OUTPUTS * STAGE_CHUNKS) {
      stage[W_AT + place(w_slot$p)] = to_f16(w_word$p, w_scale$p);
#if GATED
      stage[W2_AT + place(w_slot$p)] = to_f16(v_word$p, v_scale$p);
#endif
    }
#end
    workgroupBarrier();
    let next_chunk = first_chunk + STAGE_CHUNKS;
    if (next_chunk < end) {
#unroll p (2 * ROWS * MATRIX_M * STAGE_CHUNKS + WG - 1) / WG
      x_word$p = load_x(tile_row + x_slot$p / STAGE_CHUNKS, next_chunk + x_slot$p % STAGE_CHUNKS);
#end
#unroll p (2 * COLS * MATRIX_N * STAGE_CHUNKS + WG - 1) / WG
      {
        let at = weight_at(output$p, next_chunk + w_slot$p % STAGE_CHUNKS);
        w_word$p = Weights();
#if GATED
        v_word$p = Weights();
#endif
        if (at != 0xffffffffu) {
          w_word$p = load_w(at);
#if GATED
          v_word$p = load_w2(at);
#endif
        }
      }
#end
    }
    if (is_used) {
      // A loop that drivers may unroll; unrolled here, it only makes them compile longer.
      for (var k = 0u; k < STAGE_CHUNKS; k += K_WORDS) {
#unroll i ROWS
        let a$i = subgroupMatrixLoad<subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>, row_major>(
          &stage, (block_row + $iu * MATRIX_M) * PITCH + k, PITCH);
#end
#unroll j COLS
        let b$j = subgroupMatrixLoad<subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>, col_major>(
          &stage, W_AT + (block_output + $ju * MATRIX_N) * PITCH + k, PITCH);
#unroll i ROWS
        sum$i_$j = subgroupMatrixMultiplyAccumulate(a$i, b$j, sum$i_$j);
#end
#if GATED
        let c$j = subgroupMatrixLoad<subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>, col_major>(
          &stage, W2_AT + (block_output + $ju * MATRIX_N) * PITCH + k, PITCH);
#unroll i ROWS
        gated$i_$j = subgroupMatrixMultiplyAccumulate(a$i, c$j, gated$i_$j);
#end
#endif
#end
      }
    }
    workgroupBarrier();
  }
  // By way of workgroup memory: tiles reach beyond the edges of y, and the epilogue needs to know the place of a sum.
  let first_word = subgroup * BLOCK_WORDS;
#unroll i ROWS
  if (is_used) {
#unroll j COLS
    subgroupMatrixStore<row_major>(&stage, first_word + $ju * MATRIX_N / 4u, sum$i_$j, BLOCK_WIDTH / 4u);
#if GATED
    subgroupMatrixStore<row_major>(
      &stage, SUBGROUPS_USED * BLOCK_WORDS + first_word + $ju * MATRIX_N / 4u, gated$i_$j, BLOCK_WIDTH / 4u);
#endif
#end
  }
  workgroupBarrier();
  if (is_used) {
    let first_row = tile_row + block_row + $iu * MATRIX_M;
    for (var i = sublane; i < BLOCK_WORDS * 4u; i += subgroup_width) {
      let row = first_row + i / BLOCK_WIDTH;
      finish_sum(row, tile_output + block_output + i % BLOCK_WIDTH, first_word * 4u + i, group.z);
    }
  }
  workgroupBarrier();
#end
}

// `at` counts sums in `stage`.
fn finish_sum(row: u32, output: u32, at: u32, part: u32) {
  if (row >= params.rows || output >= params.n) {
    return;
  }
  let x_inverse = bitcast<f32>(x[row * params.x_stride].x);
  var sum = bitcast<f32>(stage[at / 4u][at % 4u]) * x_inverse;
#if GATED
  var gated_sum = bitcast<f32>(stage[SUBGROUPS_USED * BLOCK_WORDS + at / 4u][at % 4u]) * x_inverse;
#else
  let gated_sum = 0.0;
#endif
#if SCALED
  sum *= inverse_power(ranges[output]);
#if GATED
  gated_sum *= inverse_power(ranges2[output]);
#endif
#endif
  finish_output(row, output, sum, gated_sum, part);
}
