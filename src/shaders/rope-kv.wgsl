// q[t] = rotate(norm(qkv[t].q)), k_cache[slot[t]] = rotate(norm(qkv[t].k)), v_cache[slot[t]] = qkv[t].v, head by head.
// rotate: (a, b) -> (a cos - b sin, b cos + a sin) for the pairs among the first `dims` elements; the others pass through.
//
// Bindings: qkv [T, qkv_stride] f32, columns q | k | v; rope_table [positions][dims / 2] (cos, sin); step: the step's arrays;
// q [T, 4 * q_stride] f32; k, v: the paged cache, see include/kv.wgsl; q_weight, k_weight [D].
// One workgroup gives HEADS heads of one token; an invocation writes four neighbours at a time, so that a word has one writer.
#param LANES: u32
#param HEADS: u32
// 0: none, 1: pairs (i, i + dims / 2), 2: pairs (2i, 2i + 1).
#param ROTATION: u32
#param NORM: flag
#param D: u32
#include "kv-store.wgsl"

#struct RopeKvParams

@group(0) @binding(0) var<uniform> params: RopeKvParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> k: array<FourStored>;
@group(0) @binding(5) var<storage, read_write> v: array<FourStored>;
#if ROTATION != 0
@group(0) @binding(6) var<storage, read> rope_table: array<vec2f>;
#endif
#if NORM
@group(0) @binding(7) var<storage, read> q_weight: array<f32>;
@group(0) @binding(8) var<storage, read> k_weight: array<f32>;

#endif
#if NORM || FORMAT == 3
var<workgroup> partials: array<f32, LANES * HEADS>;
#endif

const FOURS: u32 = D / 4u;

struct Head {
  // Where it starts in qkv.
  start: u32,
  is_query: bool,
  scale: f32,
  position: u32,
}

fn normed(head: Head, i: u32) -> f32 {
#if NORM
  return qkv[head.start + i] * head.scale * select(k_weight[i], q_weight[i], head.is_query);
#else
  return qkv[head.start + i];
#endif
}

fn rotated(head: Head, i: u32) -> f32 {
#if ROTATION != 0
  if (i < params.dims) {
    let half = params.dims / 2u;
#if ROTATION == 1
    let is_first = i < half;
    let pair = select(i - half, i, is_first);
    let partner = select(i - half, i + half, is_first);
#else
    let is_first = i % 2u == 0u;
    let pair = i / 2u;
    let partner = i ^ 1u;
#endif
    let angle = rope_table[head.position * half + pair];
    let turned = normed(head, partner) * angle.y;
    return normed(head, i) * angle.x + select(turned, -turned, is_first);
  }
#endif
  return normed(head, i);
}

fn four(head: Head, i: u32, is_value: bool) -> vec4f {
  let at = 4u * i;
  if (is_value) {
    let first = head.start + at;
    return vec4f(qkv[first], qkv[first + 1u], qkv[first + 2u], qkv[first + 3u]);
  }
  return vec4f(rotated(head, at), rotated(head, at + 1u), rotated(head, at + 2u), rotated(head, at + 3u));
}

@compute @workgroup_size(LANES * HEADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) invocation: u32) {
  let token = group.y;
  let lane = invocation % LANES;
  let index = group.x * HEADS + invocation / LANES;
  let num_heads = params.heads + 2u * params.kv_heads;
  let is_value = index >= params.heads + params.kv_heads;
  var head: Head;
  head.start = token * params.qkv_stride + min(index, num_heads - 1u) * D;
  head.is_query = index < params.heads;
  head.scale = 1.0;
  head.position = step[params.positions + token];
#if NORM
  var partial = 0.0;
  for (var i = lane; i < 4u * params.fours; i += LANES) {
    partial += qkv[head.start + i] * qkv[head.start + i];
  }
  partials[invocation] = partial;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < params.lanes; i++) {
    sum += partials[invocation - lane + i];
  }
  head.scale = inverseSqrt(sum / f32(D) + params.eps);
#endif
  var inverse_scale = 1.0;
#if FORMAT == 3
#if NORM
  workgroupBarrier();
#endif
  var largest = 0.0;
  for (var i = lane; i < params.fours; i += LANES) {
    let x = abs(four(head, i, is_value));
    largest = max(largest, max(max(x.x, x.y), max(x.z, x.w)));
  }
  partials[invocation] = largest;
  workgroupBarrier();
  for (var i = 0u; i < params.lanes; i++) {
    largest = max(largest, partials[invocation - lane + i]);
  }
  // A row of nothing, or so little that its inverse is no number, is kept as zeros.
  let is_zero = largest < 1.0e-30;
  inverse_scale = select(127.0 / largest, 0.0, is_zero);
  let row_scale = select(largest / 127.0, 0.0, is_zero);
#endif
  let slot = step[params.slots + token];
  if (index >= num_heads || (!head.is_query && slot >= params.num_slots)) {
    return;
  }
  let kv_head = (index - params.heads) % params.kv_heads;
  let row = slot & ((1u << params.block_shift) - 1u);
  let unit = kv_unit(slot >> params.block_shift, kv_head, params.kv_heads, params.block_shift);
  let kv_start = (unit + row * CHUNKS) * 2u;
  let q_start = token * params.q_stride + index * FOURS;
  // One loop for all kinds of heads: a rotation is much code, and this way there is only one of it.
  for (var i = lane; i < params.fours; i += LANES) {
    let x = four(head, i, is_value);
    if (head.is_query) {
      q[q_start + i] = x;
    } else if (is_value) {
      v[kv_start + i] = pack_four(x, inverse_scale);
    } else {
      k[kv_start + i] = pack_four(x, inverse_scale);
    }
  }
#if FORMAT == 3
  let scale_at = (unit + (CHUNKS << params.block_shift)) * 2u + row;
  if (lane == 0u && is_value) {
    v[scale_at] = bitcast<u32>(row_scale);
  }
  if (lane == 0u && !is_value && !head.is_query) {
    k[scale_at] = bitcast<u32>(row_scale);
  }
#endif
}
