// q[t] = rotate(norm(qkv[t].q)), k_cache[slot[t]] = rotate(norm(qkv[t].k)), v_cache[slot[t]] = qkv[t].v, head by head.
// rotate: (a, b) -> (a cos - b sin, b cos + a sin) for the pairs among the first `dims` elements; the others pass through.
//
// Bindings: qkv [T, qkv_stride] f32, columns q | k | v; rope_table [positions][dims / 2] (cos, sin); step: the step's arrays;
// q [T, 2 * q_stride] f32; k, v [block][kv head][slot] rows of head_size elements, f32 or f16 pairs; q_weight, k_weight [head_size].
// One workgroup gives HEADS heads of one token; an invocation writes adjacent pairs, so that a packed pair has one writer.
#param LANES: u32
#param HEADS: u32
// 0: none, 1: pairs (i, i + dims / 2), 2: pairs (2i, 2i + 1).
#param ROTATION: u32
#param NORM: flag
#param CACHE_F16: flag
#include "kv.wgsl"

#struct RopeKvParams

@group(0) @binding(0) var<uniform> params: RopeKvParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read_write> q: array<vec2f>;
#if CACHE_F16
@group(0) @binding(4) var<storage, read_write> k: array<u32>;
@group(0) @binding(5) var<storage, read_write> v: array<u32>;
#else
@group(0) @binding(4) var<storage, read_write> k: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> v: array<vec2f>;
#endif
#if ROTATION != 0
@group(0) @binding(6) var<storage, read> rope_table: array<vec2f>;
#endif
#if NORM
@group(0) @binding(7) var<storage, read> q_weight: array<f32>;
@group(0) @binding(8) var<storage, read> k_weight: array<f32>;

var<workgroup> squares: array<f32, LANES * HEADS>;
#endif

#if CACHE_F16
const F16_MAX: f32 = 65504.0;

fn stored(pair: vec2f) -> u32 {
  return pack2x16float(clamp(pair, vec2f(-F16_MAX), vec2f(F16_MAX)));
}
#else
fn stored(pair: vec2f) -> vec2f {
  return pair;
}
#endif

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

@compute @workgroup_size(LANES * HEADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) invocation: u32) {
  let token = group.y;
  let lane = invocation % LANES;
  let index = group.x * HEADS + invocation / LANES;
  let num_heads = params.heads + 2u * params.kv_heads;
  var head: Head;
  head.start = token * params.qkv_stride + min(index, num_heads - 1u) * params.head_size;
  head.is_query = index < params.heads;
  head.scale = 1.0;
  head.position = step[params.positions + token];
#if NORM
  var partial = 0.0;
  for (var i = lane; i < params.head_size; i += LANES) {
    partial += qkv[head.start + i] * qkv[head.start + i];
  }
  squares[invocation] = partial;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) {
    sum += squares[invocation - lane + i];
  }
  head.scale = inverseSqrt(sum / f32(params.head_size) + params.eps);
#endif
  if (index >= num_heads) {
    return;
  }
  let pairs = params.head_size / 2u;
  if (head.is_query) {
    let row = token * params.q_stride + index * pairs;
    for (var i = lane; i < pairs; i += LANES) {
      q[row + i] = vec2f(rotated(head, 2u * i), rotated(head, 2u * i + 1u));
    }
    return;
  }
  let slot = step[params.slots + token];
  if (slot >= params.num_slots) {
    return;
  }
  let is_key = index < params.heads + params.kv_heads;
  let kv_head = (index - params.heads) % params.kv_heads;
  let offset = slot & ((1u << params.block_shift) - 1u);
  let row = kv_row(slot >> params.block_shift, kv_head, offset, params.kv_heads, params.block_shift) * pairs;
  for (var i = lane; i < pairs; i += LANES) {
    if (is_key) {
      k[row + i] = stored(vec2f(rotated(head, 2u * i), rotated(head, 2u * i + 1u)));
    } else {
      v[row + i] = stored(vec2f(qkv[head.start + 2u * i], qkv[head.start + 2u * i + 1u]));
    }
  }
}
