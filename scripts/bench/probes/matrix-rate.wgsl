// out = sums of ROWS x COLS chains of subgroup-matrix multiply-adds with f16 operands: the matrix units without memory.
//
// Bindings: out [SLOTS * ROWS * COLS * MATRIX_M * MATRIX_N], f32 or f16 as the sums are. A subgroup does rounds * ROWS * COLS products of
// [MATRIX_M, MATRIX_K] and [MATRIX_K, MATRIX_N]; operands and sums stay in registers. Sums are written to one of SLOTS places, whichever
// subgroup comes last, so that no compiler can leave them out and no cache overflows.
#param MATRIX_M: u32
#param MATRIX_N: u32
#param MATRIX_K: u32
#param ROWS: u32
#param COLS: u32
#param SLOTS: u32
#param SUBGROUPS: u32
#param WG: u32
#param WIDE_SUMS: flag
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);

#struct MatrixRateParams

#if WIDE_SUMS
alias Sum = f32;
#else
alias Sum = f16;
#endif

@group(0) @binding(0) var<uniform> params: MatrixRateParams;
@group(0) @binding(1) var<storage, read_write> out: array<Sum>;

// Words of 8 f16 in a row of either operand, and in one operand.
const PITCH: u32 = MATRIX_K / 8u;
const LEFT_WORDS: u32 = MATRIX_M * PITCH;
const RIGHT_WORDS: u32 = MATRIX_N * PITCH;
const RIGHT_AT: u32 = ROWS * LEFT_WORDS;
const STAGED: u32 = RIGHT_AT + COLS * RIGHT_WORDS;

var<workgroup> stage: array<vec4u, STAGED>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  for (var i = lane; i < STAGED; i += WG) {
    stage[i] = vec4u(pack2x16float(vec2f(params.factor, params.factor * f32(i % 7u))));
  }
  workgroupBarrier();
#unroll i ROWS
  let a$i = subgroupMatrixLoad<subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>, row_major>(&stage, $iu * LEFT_WORDS, PITCH);
#end
#unroll j COLS
  let b$j = subgroupMatrixLoad<subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>, col_major>(
    &stage, RIGHT_AT + $ju * RIGHT_WORDS, PITCH);
#end
#unroll i ROWS
#unroll j COLS
  var sum$i_$j: subgroup_matrix_result<Sum, MATRIX_N, MATRIX_M>;
#end
#end
  for (var round = 0u; round < params.rounds; round++) {
#unroll i ROWS
#unroll j COLS
    sum$i_$j = subgroupMatrixMultiplyAccumulate(a$i, b$j, sum$i_$j);
#end
#end
  }
  let slot = (group.x * SUBGROUPS + subgroup) % SLOTS;
#unroll i ROWS
#unroll j COLS
  subgroupMatrixStore<row_major>(
    &out, ((slot * ROWS + $iu) * COLS + $ju) * MATRIX_M * MATRIX_N, sum$i_$j, MATRIX_N);
#end
#end
}
