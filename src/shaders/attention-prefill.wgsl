// out[r] = sum_j softmax_j(scale q[r] . k[j]) v[j] over the visible keys of the paged cache, for a tile of query rows r.
//
// Bindings: include/attention-prefill-parts.wgsl.
// A row is one query token with one head of the group (row = token * group + head), so that a key tile serves the whole group.
// One workgroup of 8 x 8 invocations gives 32 rows; invocation (ty, tx) has rows ty + 8i, keys tx + 8j of a tile of 32 and
// columns tx + 8c (in vec4) of each slice of the head. Keys, then values are staged SLICE elements at a time in one tile.
// Source: flash attention (online softmax), with the sums in named registers.
#param D: u32
#param SLICE: u32
#param SLICES: u32
#param COLUMNS: u32
#param STAGE_Q: flag
#include "attention-prefill-parts.wgsl"

const WG: u32 = 64u;
const SIDE: u32 = 8u;
const TILE: u32 = 32u;
const SLICE_VECS: u32 = SLICE / 4u;
const SLICE_CHUNKS: u32 = SLICE / 8u;
// Rows of staged tiles are padded to an odd number of vec4, against bank conflicts.
const PITCH: u32 = SLICE_VECS + 1u;
const QUERY_PITCH: u32 = VECS + 1u;
const WEIGHT_PITCH: u32 = SIDE + 1u;

var<workgroup> tile: array<vec4f, TILE * PITCH>;
// Component j of vector t of a row is the weight of key t + 8j.
var<workgroup> weights: array<vec4f, TILE * WEIGHT_PITCH>;
// Per invocation, a value for each of its four rows.
var<workgroup> row_values: array<vec4f, WG>;
#if STAGE_Q
var<workgroup> queries: array<vec4f, TILE * QUERY_PITCH>;
#endif

fn capped(score: f32) -> f32 {
#if SOFTCAP
  // Beyond 15 the f32 tanh is 1, and some drivers overflow.
  return params.softcap * tanh(clamp(score / params.softcap, -15.0, 15.0));
#else
  return score;
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let item = params.items + (params.first_item + group.x) * 4u;
  let entry = step[item];
  let first_row = step[item + 1u];
  let first_query = step[item + 2u];
  let first_position = step[item + 3u];
  let kv_head = group.y;
  let ty = lane / SIDE;
  let tx = lane % SIDE;
  let num_rows = (step[params.context_length + entry] - first_position) * params.group;
  let table = params.block_tables + entry * params.block_table_stride;
  let offset_mask = (1u << params.block_shift) - 1u;
  let last_row = min(first_row + TILE, num_rows) - 1u;
  let end = first_position + last_row / params.group + 1u;
  let start = first_visible(first_position + first_row / params.group + 1u, params.window);

  // Rows beyond the last repeat it, and are not written.
#unroll i 4
  let row$i = min(first_row + ty + $iu * SIDE, last_row);
  let position$i = first_position + row$i / params.group;
  let visible$i = first_visible(position$i + 1u, params.window);
  let head$i = kv_head * params.group + row$i % params.group;
  let at$i = (first_query + row$i / params.group) * params.q_stride + head$i * VECS;
#if ALIBI
  let slope$i = slopes[head$i];
#endif
#end
#if STAGE_Q
  for (var i = lane; i < params.side * 4u * VECS; i += WG) {
    let row = min(first_row + i / VECS, last_row);
    let token = first_query + row / params.group;
    let head = kv_head * params.group + row % params.group;
    queries[(i / VECS) * QUERY_PITCH + i % VECS] = q[token * params.q_stride + head * VECS + i % VECS];
  }
#endif

#if SINKS
  let sink = vec4f(sinks[head0], sinks[head1], sinks[head2], sinks[head3]);
  var maximum = sink;
#else
  var maximum = vec4f(MASKED);
#endif
  // Sums of the weights of this invocation's keys alone; added up at the end.
  var sum = vec4f(0.0);
#unroll s SLICES
#unroll i 4
#unroll c COLUMNS
  var out$s_$i_$c = vec4f(0.0);
#end
#end
#end
  for (var first_key = start / TILE * TILE; first_key < end; first_key += TILE) {
#unroll i 4
#unroll j 4
    var score$i$j = 0.0;
#end
#end
    for (var slice = 0u; slice < params.slices; slice++) {
      workgroupBarrier();
      for (var i = lane; i < params.side * 4u * SLICE_CHUNKS; i += WG) {
        let chunk = slice * SLICE_CHUNKS + i % SLICE_CHUNKS;
        let key = first_key + i / SLICE_CHUNKS;
        var staged = Eight(vec4f(0.0), vec4f(0.0));
        if (key >= start && key < end && chunk < CHUNKS) {
          let block = step[table + (key >> params.block_shift)];
          let unit = kv_unit(block, kv_head, params.kv_heads, params.block_shift);
          staged = load_key(unit + (key & offset_mask) * CHUNKS + chunk);
          let scale = key_scale(unit, key & offset_mask, params.block_shift);
          staged = Eight(staged.low * scale, staged.high * scale);
        }
        let to = (i / SLICE_CHUNKS) * PITCH + (i % SLICE_CHUNKS) * 2u;
        tile[to] = staged.low;
        tile[to + 1u] = staged.high;
      }
      workgroupBarrier();
      let first_vec = slice * SLICE_VECS;
      for (var d = 0u; d < min(params.slice_vecs, VECS - first_vec); d++) {
#unroll i 4
#if STAGE_Q
        let q$i = queries[(ty + $iu * SIDE) * QUERY_PITCH + first_vec + d];
#else
        let q$i = q[at$i + first_vec + d];
#endif
#end
#unroll j 4
        let k$j = tile[(tx + $ju * SIDE) * PITCH + d];
#end
#unroll i 4
#unroll j 4
        score$i$j += dot(q$i, k$j);
#end
#end
      }
    }
#unroll j 4
    {
      let key = first_key + tx + $ju * SIDE;
#unroll i 4
      score$i$j = capped(score$i$j * params.scale);
#if ALIBI
      score$i$j -= slope$i * (f32(position$i) - f32(key));
#endif
      score$i$j = select(MASKED, score$i$j, key >= visible$i && key <= position$i);
#end
    }
#end
#unroll i 4
    var highest$i = max(max(score$i0, score$i1), max(score$i2, score$i3));
#end
    row_values[lane] = vec4f(highest0, highest1, highest2, highest3);
    workgroupBarrier();
    var highest = maximum;
    for (var t = 0u; t < params.side; t++) {
      highest = max(highest, row_values[ty * SIDE + t]);
    }
    // A row that has seen only masked keys counts them with weight 1; its first visible key scales that to 0.
    let kept = exp(maximum - highest);
    maximum = highest;
    sum *= kept;
#unroll i 4
    {
      let row_weights = exp(vec4f(score$i0, score$i1, score$i2, score$i3) - highest[$i]);
      sum[$i] += row_weights.x + row_weights.y + row_weights.z + row_weights.w;
      weights[(ty + $iu * SIDE) * WEIGHT_PITCH + tx] = row_weights;
    }
#unroll s SLICES
#unroll c COLUMNS
    out$s_$i_$c *= kept[$i];
#end
#end
#end
#unroll s SLICES
#if $s > 0
    workgroupBarrier();
#endif
    for (var i = lane; i < params.side * 4u * SLICE_CHUNKS; i += WG) {
      let chunk = $su * SLICE_CHUNKS + i % SLICE_CHUNKS;
      let key = first_key + i / SLICE_CHUNKS;
      var staged = Eight(vec4f(0.0), vec4f(0.0));
      if (key >= start && key < end && chunk < CHUNKS) {
        let block = step[table + (key >> params.block_shift)];
        let unit = kv_unit(block, kv_head, params.kv_heads, params.block_shift);
        staged = load_value(unit + (key & offset_mask) * CHUNKS + chunk);
        let scale = value_scale(unit, key & offset_mask, params.block_shift);
        staged = Eight(staged.low * scale, staged.high * scale);
      }
      let to = (i / SLICE_CHUNKS) * PITCH + (i % SLICE_CHUNKS) * 2u;
      tile[to] = staged.low;
      tile[to + 1u] = staged.high;
    }
    workgroupBarrier();
    for (var t = 0u; t < params.side; t++) {
#unroll i 4
      let weight$i = weights[(ty + $iu * SIDE) * WEIGHT_PITCH + t];
#end
#unroll j 4
#unroll c COLUMNS
      {
        let value = tile[(t + $ju * SIDE) * PITCH + min(tx + $cu * SIDE, SLICE_VECS - 1u)];
#unroll i 4
        out$s_$i_$c += weight$i[$j] * value;
#end
      }
#end
#end
    }
#end
  }

  // The staging of the last values lies between this and the last reads of the row values.
  row_values[lane] = sum;
  workgroupBarrier();
  sum = vec4f(0.0);
  for (var t = 0u; t < params.side; t++) {
    sum += row_values[ty * SIDE + t];
  }
#if SINKS
  sum += exp(sink - maximum);
#endif
#unroll i 4
  if (first_row + ty + $iu * SIDE <= last_row) {
#unroll s SLICES
#unroll c COLUMNS
    {
      let column = tx + $cu * SIDE;
      if (column < SLICE_VECS && $su * SLICE_VECS + column < VECS) {
        out[at$i + $su * SLICE_VECS + column] = out$s_$i_$c / sum[$i];
      }
    }
#end
#end
  }
#end
}
