// out[h] = sum_j softmax_j(scale q[h] . k[j]) v[j] over the visible keys of the paged cache, for entries with one query.
//
// Bindings: q, out [T, 4 * q_stride] f32; k, v: the paged cache, see include/kv.wgsl; step: the step's arrays; sinks [heads] f32:
// a score without a value, which joins the weights; slopes [heads] f32: each score gets slope * (key's position - query's);
// scratch: [entry][head][max_splits] rows of D sums and (maximum, sum of weights, 0, 0), for contexts of several splits.
// One workgroup takes SPLIT keys of one kv head and loads each key and value once for all HEADS query heads of the group.
// Scores: KEY_LANES neighbours share a key, each with every KEY_LANES-th chunk of 8 elements. Values: an invocation sums one
// chunk over every SLICES-th key, for the heads of one part. Heads lie in quads: component j of quad q is head 4q + j.
// Source: flash-decoding, with the whole query group in a workgroup and two passes over a split instead of running maxima.
#param WG: u32
#param HEADS: u32
#param PARTS: u32
#param PART_QUADS: u32
// Heads whose sums are merged at a time: min(HEADS, 4).
#param MERGED: u32
#param SPLIT: u32
#param D: u32
#param SOFTCAP: flag
#param SINKS: flag
#param ALIBI: flag
#param SUBGROUPS: flag
#include "kv-load.wgsl"
#include "visible.wgsl"
#if SUBGROUPS
enable subgroups;
diagnostic(off, subgroup_uniformity);
#endif

#struct AttentionDecodeParams

@group(0) @binding(0) var<uniform> params: AttentionDecodeParams;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> k: array<KvWord>;
@group(0) @binding(3) var<storage, read> v: array<KvWord>;
@group(0) @binding(4) var<storage, read> step: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> scratch: array<vec4f>;
#if SINKS
@group(0) @binding(7) var<storage, read> sinks: array<f32>;
#endif
#if ALIBI
@group(0) @binding(8) var<storage, read> slopes: array<f32>;
#endif

const VECS: u32 = D / 4u;
const QUADS: u32 = PARTS * PART_QUADS;
const SLICES: u32 = WG / (CHUNKS * PARTS);
const MASKED: f32 = -3.0e38;
#if SUBGROUPS
// Subgroups have at least four invocations.
const KEY_LANES: u32 = 4u;
const PARTIALS: u32 = WG / 4u;
#else
const KEY_LANES: u32 = 1u;
const PARTIALS: u32 = WG;
#endif
const KEYS_AT_ONCE: u32 = WG / KEY_LANES;

var<workgroup> queries: array<vec4f, HEADS * VECS>;
// First the scores [key][quad], then the sums of values to merge.
var<workgroup> pool: array<vec4f, max(SPLIT * QUADS, WG * 2u * MERGED)>;
var<workgroup> maxima: array<vec4f, PARTIALS * QUADS>;
var<workgroup> sums: array<vec4f, PARTIALS * QUADS>;
var<workgroup> highest: array<vec4f, QUADS>;
var<workgroup> totals: array<vec4f, QUADS>;
// First chunk of this kv head in each block that the split touches.
var<workgroup> block_units: array<u32, SPLIT / 8u + 1u>;

fn capped(scores: vec4f) -> vec4f {
#if SOFTCAP
  // Beyond 15 the f32 tanh is 1, and some drivers overflow.
  return params.softcap * tanh(clamp(scores / params.softcap, vec4f(-15.0), vec4f(15.0)));
#else
  return scores;
#endif
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
#if SUBGROUPS
  @builtin(subgroup_size) subgroup_width: u32,
#endif
) {
  let entry = params.first_entry + group.y;
  let context = step[params.context_length + entry];
  let start = first_visible(context, params.window);
  let num_splits = (context - start + SPLIT - 1u) / SPLIT;
  if (group.z >= num_splits) {
    return;
  }
  let kv_head = group.x / params.head_chunks;
  // Heads are counted within the group of this kv head.
  let first_head = (group.x % params.head_chunks) * HEADS;
  let first_key = start + group.z * SPLIT;
  let num_keys = min(SPLIT, context - first_key);
  let first_block = first_key >> params.block_shift;
  let num_blocks = ((first_key + num_keys - 1u) >> params.block_shift) - first_block + 1u;
  let first_offset = first_key & ((1u << params.block_shift) - 1u);
  let offset_mask = (1u << params.block_shift) - 1u;

  let heads_row = entry * params.q_stride + kv_head * params.group * VECS;
  for (var i = lane; i < HEADS * VECS; i += WG) {
    let head = min(first_head + i / VECS, params.group - 1u);
    queries[i] = q[heads_row + head * VECS + i % VECS] * params.scale;
  }
  let table = params.block_tables + entry * params.block_table_stride + first_block;
  for (var i = lane; i < num_blocks; i += WG) {
    block_units[i] = kv_unit(step[table + i], kv_head, params.kv_heads, params.block_shift);
  }
  workgroupBarrier();

#unroll i PARTS * PART_QUADS
  var maximum$i = vec4f(MASKED);
#if SINKS || ALIBI
  let head$i = vec4u(kv_head * params.group) + min(vec4u(first_head + $iu * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(params.group - 1u));
#endif
#if SINKS
  let sink$i = vec4f(sinks[head$i.x], sinks[head$i.y], sinks[head$i.z], sinks[head$i.w]);
  // With several splits, the sink is for attention-reduce to add.
  if (num_splits == 1u) {
    maximum$i = sink$i;
  }
#endif
#if ALIBI
  let slope$i = vec4f(slopes[head$i.x], slopes[head$i.y], slopes[head$i.z], slopes[head$i.w]);
#endif
#end
  for (var first = 0u; first < num_keys; first += KEYS_AT_ONCE * 2u) {
    let key_a = first + lane / KEY_LANES;
    let key_b = key_a + KEYS_AT_ONCE;
    let at_a = min(key_a, num_keys - 1u) + first_offset;
    let at_b = min(key_b, num_keys - 1u) + first_offset;
    let unit_a = block_units[at_a >> params.block_shift];
    let unit_b = block_units[at_b >> params.block_shift];
    let row_a = unit_a + (at_a & offset_mask) * CHUNKS;
    let row_b = unit_b + (at_b & offset_mask) * CHUNKS;
    let scale_a = key_scale(unit_a, at_a & offset_mask, params.block_shift);
    let scale_b = key_scale(unit_b, at_b & offset_mask, params.block_shift);
#unroll i PARTS * PART_QUADS
    var score_a$i = vec4f(0.0);
    var score_b$i = vec4f(0.0);
#end
    for (var chunk = lane % KEY_LANES; chunk < params.chunks; chunk += KEY_LANES) {
      let a = load_key(row_a + chunk);
      let b = load_key(row_b + chunk);
#unroll i PARTS * PART_QUADS
#unroll j 4
#if $i * 4 + $j < HEADS
      {
        let low = queries[($iu * 4u + $ju) * VECS + chunk * 2u];
        let high = queries[($iu * 4u + $ju) * VECS + chunk * 2u + 1u];
        score_a$i[$j] += dot(low, a.low) + dot(high, a.high);
        score_b$i[$j] += dot(low, b.low) + dot(high, b.high);
      }
#endif
#end
#end
    }
#unroll i PARTS * PART_QUADS
#if SUBGROUPS
    score_a$i += subgroupShuffleXor(score_a$i, 1u);
    score_b$i += subgroupShuffleXor(score_b$i, 1u);
    score_a$i += subgroupShuffleXor(score_a$i, 2u);
    score_b$i += subgroupShuffleXor(score_b$i, 2u);
#endif
    score_a$i = capped(score_a$i * scale_a);
    score_b$i = capped(score_b$i * scale_b);
#if ALIBI
    score_a$i -= slope$i * f32(context - 1u - first_key - min(key_a, num_keys - 1u));
    score_b$i -= slope$i * f32(context - 1u - first_key - min(key_b, num_keys - 1u));
#endif
    // A lane beyond the end has the last key's score, which leaves the maximum as it is.
    maximum$i = max(maximum$i, max(score_a$i, score_b$i));
    if (lane % KEY_LANES == 0u) {
      if (key_a < num_keys) {
        pool[key_a * QUADS + $iu] = score_a$i;
      }
      if (key_b < num_keys) {
        pool[key_b * QUADS + $iu] = score_b$i;
      }
    }
#end
  }
#if SUBGROUPS
  let partial = lane / subgroup_width;
  let writes_partial = lane % subgroup_width == 0u;
  let num_partials = (WG + subgroup_width - 1u) / subgroup_width;
#unroll i PARTS * PART_QUADS
  maximum$i = subgroupMax(maximum$i);
#end
#else
  let partial = lane;
  let writes_partial = true;
  let num_partials = params.wg;
#endif
  if (writes_partial) {
#unroll i PARTS * PART_QUADS
    maxima[partial * QUADS + $iu] = maximum$i;
#end
  }
  workgroupBarrier();
  for (var i = 0u; i < num_partials; i++) {
#unroll i PARTS * PART_QUADS
    maximum$i = max(maximum$i, maxima[i * QUADS + $iu]);
#end
  }
#unroll i PARTS * PART_QUADS
  var sum$i = vec4f(0.0);
#end
  for (var key = lane; key < num_keys; key += WG) {
#unroll i PARTS * PART_QUADS
    let weight$i = exp(pool[key * QUADS + $iu] - maximum$i);
    pool[key * QUADS + $iu] = weight$i;
    sum$i += weight$i;
#end
  }
#if SUBGROUPS
#unroll i PARTS * PART_QUADS
  sum$i = subgroupAdd(sum$i);
#end
#endif
  if (writes_partial) {
#unroll i PARTS * PART_QUADS
    sums[partial * QUADS + $iu] = sum$i;
#end
  }
  workgroupBarrier();
#unroll i PARTS * PART_QUADS
  if (lane == $iu) {
    var total = vec4f(0.0);
    for (var i = 0u; i < num_partials; i++) {
      total += sums[i * QUADS + $iu];
    }
#if SINKS
    if (num_splits == 1u) {
      total += exp(sink$i - maximum$i);
    }
#endif
    highest[$i] = maximum$i;
    totals[$i] = total;
  }
#end

  let chunk = lane % CHUNKS;
  let part = (lane / CHUNKS) % PARTS;
  let slice = lane / (CHUNKS * PARTS);
#unroll t PART_QUADS
#unroll j MERGED
  var low$t_$j = vec4f(0.0);
  var high$t_$j = vec4f(0.0);
#end
#end
  if (slice < SLICES) {
    // Four keys per turn, so that their loads are in flight together.
    for (var first = slice; first < num_keys; first += SLICES * 4u) {
#unroll u 4
      let key$u = first + $uu * SLICES;
      let at$u = min(key$u, num_keys - 1u) + first_offset;
      let unit$u = block_units[at$u >> params.block_shift];
      let value$u = load_value(unit$u + (at$u & offset_mask) * CHUNKS + chunk);
      let scale$u = value_scale(unit$u, at$u & offset_mask, params.block_shift);
#end
#unroll u 4
#unroll t PART_QUADS
      {
        let at = min(key$u, num_keys - 1u) * QUADS + part * PART_QUADS + $tu;
        let weight = select(vec4f(0.0), pool[at] * scale$u, key$u < num_keys);
#unroll j MERGED
#if PARTS > 1 || $t * 4 + $j < HEADS
        low$t_$j += weight[$j] * value$u.low;
        high$t_$j += weight[$j] * value$u.high;
#endif
#end
      }
#end
#end
    }
  }

  // The slices are added up, one quad of every part at a time.
#unroll t PART_QUADS
  workgroupBarrier();
#unroll j MERGED
  pool[(lane * MERGED + $ju) * 2u] = low$t_$j;
  pool[(lane * MERGED + $ju) * 2u + 1u] = high$t_$j;
#end
  workgroupBarrier();
  for (var i = lane; i < PARTS * MERGED * VECS; i += WG) {
    let column = i % VECS;
    let j = (i / VECS) % MERGED;
    let of_part = i / (VECS * MERGED);
    let quad = of_part * PART_QUADS + $tu;
    let head = first_head + quad * 4u + j;
    if (quad * 4u + j < HEADS && head < params.group) {
      var total = vec4f(0.0);
      for (var s = 0u; s < params.slices; s++) {
        total += pool[(((s * PARTS + of_part) * CHUNKS + column / 2u) * MERGED + j) * 2u + column % 2u];
      }
      if (num_splits == 1u) {
        out[heads_row + head * VECS + column] = total / totals[quad][j];
      } else {
        let all_heads = params.kv_heads * params.group;
        let row = (group.y * all_heads + kv_head * params.group + head) * params.max_splits + group.z;
        scratch[row * (VECS + 1u) + column] = total;
        if (column == 0u) {
          scratch[row * (VECS + 1u) + VECS] = vec4f(highest[quad][j], totals[quad][j], 0.0, 0.0);
        }
      }
    }
  }
#end
}
