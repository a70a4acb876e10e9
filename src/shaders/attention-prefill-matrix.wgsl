// Attention of a tile of query rows with subgroup matrices (tensor cores); formula, rows and items: attention-prefill.wgsl.
//
// Bindings: as there. Operands are f16, sums and the softmax f32. Each of four subgroups owns MATRIX_M rows: their queries and their sums
// stay in its matrices, while 32 keys and then their values are staged at a time. Matrices cannot be scaled by rows where they are, so
// a row's maximum may lag behind by LAG, which f16 weights bear; only when a row exceeds that, all sums go through workgroup memory.
// A row's own scores alone decide about it, so that its bits do not depend on the rows beside it.
// Where subgroups turn out smaller than the largest size, there are more than four; those help with all but the matrices.
// Source: flash attention; the lagging maximum is FlashAttention-4's idea.
#param D: u32
#param MATRIX_M: u32
#param MATRIX_N: u32
#param MATRIX_K: u32
#param WG: u32
// Head size rounded up to whole matrices, in matrices along K and along N.
#param K_STEPS: u32
#param N_STEPS: u32
// Matrices along N that 32 keys hold, and groups of as many that hold a head.
#param N_BLOCKS: u32
#param N_GROUPS: u32
// Invocations that share a row, neighbours in a subgroup: 1, 2 or 4.
#param ROW_LANES: u32
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, subgroup_uniformity);
diagnostic(off, chromium.subgroup_matrix_uniformity);
#include "attention-prefill-parts.wgsl"

const SUBGROUPS_USED: u32 = 4u;
const ROWS: u32 = SUBGROUPS_USED * MATRIX_M;
const KEYS: u32 = 32u;
const K_WORDS: u32 = MATRIX_K / 8u;
const N_WORDS: u32 = MATRIX_N / 8u;
// Words of eight elements in a staged row, to whole matrices, and in a padded one: odd, against bank conflicts.
const TILE_WORDS: u32 = K_STEPS * K_WORDS;
const PITCH: u32 = TILE_WORDS + 1u;
const WEIGHT_PITCH: u32 = KEYS / 8u + 1u;
const SCORE_PITCH: u32 = KEYS + 4u;
// Keys of one invocation.
const OWN_KEYS: u32 = KEYS / ROW_LANES;
const LAG: f32 = 8.0;
const F16_MAX: f32 = 65504.0;

// Queries, then keys and values in turn.
var<workgroup> tile: array<vec4u, KEYS * PITCH>;
// Scores; in between and in the end, sums on their way.
var<workgroup> scores: array<f32, ROWS * SCORE_PITCH>;
var<workgroup> weights: array<vec4u, ROWS * WEIGHT_PITCH>;
var<workgroup> must_rescale: u32;

fn to_f16(x: Eight) -> vec4u {
  let low = vec4<f16>(clamp(x.low, vec4f(-F16_MAX), vec4f(F16_MAX)));
  let high = vec4<f16>(clamp(x.high, vec4f(-F16_MAX), vec4f(F16_MAX)));
  return vec4u(bitcast<vec2u>(low), bitcast<vec2u>(high));
}

fn load_four(at: u32) -> vec4f {
  return vec4f(scores[at], scores[at + 1u], scores[at + 2u], scores[at + 3u]);
}

fn row_max(x: f32) -> f32 {
  var result = x;
#if ROW_LANES > 1
  result = max(result, subgroupShuffleXor(result, 1u));
#endif
#if ROW_LANES > 2
  result = max(result, subgroupShuffleXor(result, 2u));
#endif
  return result;
}

fn row_sum(x: f32) -> f32 {
  var result = x;
#if ROW_LANES > 1
  result += subgroupShuffleXor(result, 1u);
#endif
#if ROW_LANES > 2
  result += subgroupShuffleXor(result, 2u);
#endif
  return result;
}

fn capped(x: vec4f) -> vec4f {
#if SOFTCAP
  // Beyond 15 the f32 tanh is 1, and some drivers overflow.
  return params.softcap * tanh(clamp(x / params.softcap, vec4f(-15.0), vec4f(15.0)));
#else
  return x;
#endif
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let item = params.items + (params.first_item + group.x) * 4u;
  let entry = step[item];
  let first_row = step[item + 1u];
  let first_query = step[item + 2u];
  let first_position = step[item + 3u];
  let kv_head = group.y;
  let num_rows = (step[params.context_length + entry] - first_position) * params.group;
  let table = params.block_tables + entry * params.block_table_stride;
  let offset_mask = (1u << params.block_shift) - 1u;
  let last_row = min(first_row + ROWS, num_rows) - 1u;
  let end = first_position + last_row / params.group + 1u;
  let start = first_visible(first_position + first_row / params.group + 1u, params.window);
  let is_used = subgroup < SUBGROUPS_USED;
  let own_rows = subgroup * MATRIX_M;

  // This invocation's row in the softmax; rows beyond the last repeat it, and are not written.
  let row_in_tile = lane / ROW_LANES;
  let first_own = (lane % ROW_LANES) * OWN_KEYS;
  let row = min(first_row + row_in_tile, last_row);
  let position = first_position + row / params.group;
  let visible = first_visible(position + 1u, params.window);
  let head = kv_head * params.group + row % params.group;
#if ALIBI
  let slope = slopes[head];
#endif

#unroll d K_STEPS
  var query$d: subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
#end
  for (var pass_row = 0u; pass_row < ROWS; pass_row += KEYS) {
    for (var i = lane; i < KEYS * TILE_WORDS; i += WG) {
      let from_row = min(first_row + pass_row + i / TILE_WORDS, last_row);
      let chunk = i % TILE_WORDS;
      var staged = vec4u(0u);
      if (chunk < CHUNKS) {
        let token = first_query + from_row / params.group;
        let at = token * params.q_stride + (kv_head * params.group + from_row % params.group) * VECS + chunk * 2u;
        staged = to_f16(Eight(q[at] * params.scale, q[at + 1u] * params.scale));
      }
      tile[i / TILE_WORDS * PITCH + chunk] = staged;
    }
    workgroupBarrier();
    if (is_used && own_rows / KEYS == pass_row / KEYS) {
#unroll d K_STEPS
      query$d = subgroupMatrixLoad<subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>, row_major>(
        &tile, (own_rows % KEYS) * PITCH + $du * K_WORDS, PITCH);
#end
    }
    workgroupBarrier();
  }

  var maximum = MASKED;
  // Sum of the weights of this invocation's keys alone; added up at the end.
  var sum = 0.0;
#unroll g N_GROUPS
#unroll n N_BLOCKS
#if $g * N_BLOCKS + $n < N_STEPS
  var out$g_$n: subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
#endif
#end
#end
  let first_tile = start / KEYS * KEYS;
  for (var first_key = first_tile; first_key < end; first_key += KEYS) {
    for (var i = lane; i < KEYS * TILE_WORDS; i += WG) {
      let key = first_key + i / TILE_WORDS;
      let chunk = i % TILE_WORDS;
      var staged = vec4u(0u);
      if (key >= start && key < end && chunk < CHUNKS) {
        let unit = kv_unit(step[table + (key >> params.block_shift)], kv_head, params.kv_heads, params.block_shift);
        let at = unit + (key & offset_mask) * CHUNKS + chunk;
#if FORMAT == 2
        staged = k[at];
#else
        let scale = key_scale(unit, key & offset_mask, params.block_shift);
        let loaded = load_key(at);
        staged = to_f16(Eight(loaded.low * scale, loaded.high * scale));
#endif
      }
      tile[i / TILE_WORDS * PITCH + chunk] = staged;
    }
    if (lane == 0u) {
      must_rescale = 0u;
    }
    workgroupBarrier();
    if (is_used) {
#unroll n N_BLOCKS
      {
        // Said in full: what a declaration alone leaves in it is not always zeros from the loop's second turn on.
        var score = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>();
#unroll d K_STEPS
        score = subgroupMatrixMultiplyAccumulate(
          query$d,
          subgroupMatrixLoad<subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>, col_major>(
            &tile, $nu * MATRIX_N * PITCH + $du * K_WORDS, PITCH),
          score);
#end
        subgroupMatrixStore<row_major>(&scores, own_rows * SCORE_PITCH + $nu * MATRIX_N, score, SCORE_PITCH);
      }
#end
    }
    workgroupBarrier();
    for (var i = lane; i < KEYS * TILE_WORDS; i += WG) {
      let key = first_key + i / TILE_WORDS;
      let chunk = i % TILE_WORDS;
      var staged = vec4u(0u);
      if (key >= start && key < end && chunk < CHUNKS) {
        let unit = kv_unit(step[table + (key >> params.block_shift)], kv_head, params.kv_heads, params.block_shift);
        let at = unit + (key & offset_mask) * CHUNKS + chunk;
#if FORMAT == 2
        staged = v[at];
#else
        let scale = value_scale(unit, key & offset_mask, params.block_shift);
        let loaded = load_value(at);
        staged = to_f16(Eight(loaded.low * scale, loaded.high * scale));
#endif
      }
      tile[i / TILE_WORDS * PITCH + chunk] = staged;
    }
    var highest = MASKED;
#unroll f 4 / ROW_LANES
#unroll h 2
    let own$f_$h = first_own + $fu * 8u + $hu * 4u;
    let key$f_$h = vec4u(first_key + own$f_$h) + vec4u(0u, 1u, 2u, 3u);
    let seen$f_$h = (key$f_$h >= vec4u(visible)) & (key$f_$h <= vec4u(position));
    var score$f_$h = capped(load_four(row_in_tile * SCORE_PITCH + own$f_$h));
#if ALIBI
    score$f_$h += slope * (vec4f(key$f_$h) - f32(position));
#endif
    score$f_$h = select(vec4f(MASKED), score$f_$h, seen$f_$h);
    highest = max(highest, max(max(score$f_$h.x, score$f_$h.y), max(score$f_$h.z, score$f_$h.w)));
#end
#end
    highest = row_max(highest);
    var kept = 1.0;
    if (highest > maximum + LAG) {
      kept = exp(maximum - highest);
      maximum = highest;
      sum *= kept;
      must_rescale = 1u;
    }
    // All scores are read by then: their room is free.
    let is_late = workgroupUniformLoad(&must_rescale) != 0u;
    if (is_late && first_key > first_tile) {
#unroll g N_GROUPS
      if (is_used) {
#unroll n N_BLOCKS
#if $g * N_BLOCKS + $n < N_STEPS
        subgroupMatrixStore<row_major>(
          &scores, own_rows * SCORE_PITCH + $nu * MATRIX_N, out$g_$n, SCORE_PITCH);
#endif
#end
      }
      workgroupBarrier();
      for (var i = 0u; i < params.side * 4u / ROW_LANES; i++) {
        scores[row_in_tile * SCORE_PITCH + first_own + i] *= kept;
      }
      workgroupBarrier();
      if (is_used) {
#unroll n N_BLOCKS
#if $g * N_BLOCKS + $n < N_STEPS
        out$g_$n = subgroupMatrixLoad<subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>, row_major>(
          &scores, own_rows * SCORE_PITCH + $nu * MATRIX_N, SCORE_PITCH);
#endif
#end
      }
      workgroupBarrier();
#end
    }
#unroll f 4 / ROW_LANES
#unroll h 2
    let weight$f_$h = select(vec4f(0.0), exp(score$f_$h - maximum), seen$f_$h);
    sum += weight$f_$h.x + weight$f_$h.y + weight$f_$h.z + weight$f_$h.w;
#end
    weights[row_in_tile * WEIGHT_PITCH + first_own / 8u + $fu] = to_f16(Eight(weight$f_0, weight$f_1));
#end
    workgroupBarrier();
    if (is_used) {
#unroll s 32 / MATRIX_K
      {
        let weight = subgroupMatrixLoad<subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>, row_major>(
          &weights, own_rows * WEIGHT_PITCH + $su * K_WORDS, WEIGHT_PITCH);
#unroll g N_GROUPS
#unroll n N_BLOCKS
#if $g * N_BLOCKS + $n < N_STEPS
        out$g_$n = subgroupMatrixMultiplyAccumulate(
          weight,
          subgroupMatrixLoad<subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>, row_major>(
            &tile, $su * MATRIX_K * PITCH + ($gu * N_BLOCKS + $nu) * N_WORDS, PITCH),
          out$g_$n);
#endif
#end
#end
      }
#end
    }
    workgroupBarrier();
  }

  var total = row_sum(sum);
#if SINKS
  // A sink so far above leaves nothing of the sums, but an infinity would be no number.
  total += exp(min(sinks[head] - maximum, 80.0));
#endif
  let token = first_query + row / params.group;
  let out_row = token * params.q_stride + head * VECS;
#unroll g N_GROUPS
  if (is_used) {
#unroll n N_BLOCKS
#if $g * N_BLOCKS + $n < N_STEPS
    subgroupMatrixStore<row_major>(
      &scores, own_rows * SCORE_PITCH + $nu * MATRIX_N, out$g_$n, SCORE_PITCH);
#endif
#end
  }
  workgroupBarrier();
  if (first_row + row_in_tile <= last_row) {
    for (var i = 0u; i < params.side / ROW_LANES; i++) {
      let column = ($gu * KEYS + first_own) / 4u + i;
      if (column < VECS) {
        out[out_row + column] = load_four(row_in_tile * SCORE_PITCH + first_own + i * 4u) / total;
      }
    }
  }
  workgroupBarrier();
#end
}
