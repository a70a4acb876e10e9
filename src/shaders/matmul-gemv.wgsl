// Matrix product for 1 to COLS rows of x at a time; formula and bindings: include/matmul.wgsl.
//
// One workgroup gives ROWS outputs for all COLS rows of x; its invocations stride over k in chunks of 8 elements (LOAD chunks: see
// gemv-sums-staged.wgsl), so that neighbours load neighbouring 16 bytes and each weight is read once for the whole batch. The fewer outputs
// a matrix has, the fewer of them and the more invocations a workgroup should have: k is then split among more lanes, and no part idles.
// NORM folds the rms norm of x in: the sums of squares are taken in the same pass, and each output is scaled at its end.
// Source: the multi-column matrix-vector kernels of ggml's WebGPU backend, with the partial sums kept in named registers.
#param WG: u32
#param ROWS: u32
#param COLS: u32
#param SUBGROUPS: flag
#include "matmul.wgsl"
#if SUBGROUPS
enable subgroups;
diagnostic(off, subgroup_uniformity);
#endif

#if !DP4A
#param UNROLL: u32
#if LOAD > 1
// Of one row of x. Units: vec4.
const STAGED: u32 = WG * UNROLL * LOAD * 2u;
var<workgroup> staged: array<vec4f, COLS * STAGED>;

fn permuted(place: u32) -> u32 {
  return place ^ ((place >> 3u) & 7u);
}
#endif
#endif

const OUTPUTS: u32 = ROWS * COLS;
#if GATED
const SUMS: u32 = OUTPUTS * 2u;
#else
const SUMS: u32 = OUTPUTS;
#endif
#if SUBGROUPS
const PARTS: u32 = WG / 4u;
#else
const PARTS: u32 = WG;
#endif
#if NORM
const ALL_PARTS: u32 = (SUMS + COLS) * PARTS;
#else
const ALL_PARTS: u32 = SUMS * PARTS;
#endif
var<workgroup> parts: array<f32, ALL_PARTS>;
#if !SUBGROUPS
const MIN_PARTS: u32 = 8u;
#endif

fn finish(index: u32, num_parts: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < num_parts; i++) {
    sum += parts[index * PARTS + i];
  }
  return sum;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
#if SUBGROUPS
  @builtin(subgroup_size) subgroup_width: u32,
#endif
) {
  let first_row = (group.y * groups.x + group.x) * ROWS;
  if (first_row >= params.n) {
    return;
  }
  let last = params.n - 1u;
  let row_words = params.chunks * WORDS_PER_CHUNK;
#unroll r ROWS
  let row$r = min(first_row + $ru, last) * row_words;
#end
#unroll m COLS
  let x$m = (params.x_row + min($mu, params.rows - 1u)) * params.x_stride;
#end
#if DP4A
  let first_chunk = lane;
  let chunk_step = WG;
#include "matmul-sums.wgsl"
#else
#include "gemv-sums.wgsl"
#endif
#if SUBGROUPS
  let part = lane / subgroup_width;
  let is_first = lane % subgroup_width == 0u;
  let num_parts = (WG + subgroup_width - 1u) / subgroup_width;
#unroll r ROWS
#unroll m COLS
  {
    let total = subgroupAdd(sum$r_$m);
    if (is_first) {
      parts[($ru * COLS + $mu) * PARTS + part] = total;
    }
#if GATED
    let gated_total = subgroupAdd(gated$r_$m);
    if (is_first) {
      parts[(OUTPUTS + $ru * COLS + $mu) * PARTS + part] = gated_total;
    }
#endif
  }
#end
#end
#if NORM
#unroll m COLS
  {
    let total = subgroupAdd(squares$m);
    if (is_first) {
      parts[(SUMS + $mu) * PARTS + part] = total;
    }
  }
#end
#endif
#else
#unroll r ROWS
#unroll m COLS
  parts[($ru * COLS + $mu) * PARTS + lane] = sum$r_$m;
#if GATED
  parts[(OUTPUTS + $ru * COLS + $mu) * PARTS + lane] = gated$r_$m;
#endif
#end
#end
#if NORM
#unroll m COLS
  parts[(SUMS + $mu) * PARTS + lane] = squares$m;
#end
#endif
  // Halved until few are left, so that no lane adds up hundreds.
  for (var half = WG / 2u; half >= MIN_PARTS; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      for (var i = lane; i < ALL_PARTS; i += PARTS) {
        parts[i] += parts[i + half];
      }
    }
  }
  let num_parts = MIN_PARTS;
#endif
  workgroupBarrier();
  for (var output = lane; output < OUTPUTS; output += WG) {
    let row = first_row + output / COLS;
    let column = output % COLS;
    if (row < params.n && column < params.rows) {
#if NORM
      let scale = inverseSqrt(finish(SUMS + column, num_parts) / f32(params.columns) + params.eps);
#else
      let scale = 1.0;
#endif
#if GATED
      write_output(column, row, finish(output, num_parts) * scale, finish(OUTPUTS + output, num_parts) * scale);
#else
      write_output(column, row, finish(output, num_parts) * scale, 0.0);
#endif
    }
  }
}
