// A tile of a matrix product by subgroup matrices: constants, workgroup memory and loads; in the middle of a kernel: matrix-sums.wgsl.
// Operands are f16, sums f32. x comes packed by matmul-pack.wgsl, each row scaled by a power of two; with SCALED, w is scaled by rows on
// its way into workgroup memory (ranges, by matmul-range.wgsl), because bf16 reaches far beyond f16.
// The includer declares GATED, FORMAT, GROUP, the matrices (matmul-weights.wgsl), x, and ranges and ranges2 with SCALED.
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
#include "power-scale.wgsl"

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
fn staged_at(slot: u32) -> u32 {
  return slot / STAGE_CHUNKS * PITCH + slot % STAGE_CHUNKS;
}

// No row of x or of w.
const NONE: u32 = 0xffffffffu;

// `x_at`: where the chunks of a row of x begin.
fn load_x(x_at: u32, chunk: u32) -> vec4u {
  if (x_at == NONE) {
    return vec4u(0u);
  }
  return x[x_at + chunk];
}

// The index of a word of w, or NONE: the caller has to look.
fn weight_at(row: u32, chunk: u32) -> u32 {
  return select(NONE, row * params.chunks + chunk, row != NONE && chunk < params.chunks);
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

struct Sums {
  sum: f32,
  gated: f32,
}

// A sum out of `stage`, of which `at` counts floats, scaled back. `x_at`: where the chunks of its row of x begin.
fn sums_at(at: u32, x_at: u32, row: u32) -> Sums {
  let x_inverse = bitcast<f32>(x[x_at - 1u].x);
  var sum = bitcast<f32>(stage[at / 4u][at % 4u]) * x_inverse;
#if GATED
  var gated = bitcast<f32>(stage[SUBGROUPS_USED * BLOCK_WORDS + at / 4u][at % 4u]) * x_inverse;
#else
  let gated = 0.0;
#endif
#if SCALED
  sum *= inverse_power(ranges[row]);
#if GATED
  gated *= inverse_power(ranges2[row]);
#endif
#endif
  return Sums(sum, gated);
}
