// Rows of x as signed bytes: for each block of 32 elements a scale s = max|x| / 127, quants q = round(x / s) and s * sum(q).
//
// NORM: the rows are those of an rms norm: quants are taken of x * norm_weight, and the norm's factor goes into the scales.
// NIBBLES: bytes are stored as nibbles unpack, of eight elements first the even ones, then the odd ones; otherwise in plain order.
// Bindings: x [T, 4 * x_stride] f32; norm_weight [32 * blocks] f32; quants [T, 2 * blocks] of 16 bytes; scales [T, blocks] (s, s * sum(q)).
// One invocation gives a block; with NORM one workgroup gives a row.
#param WG: u32
#param NORM: flag
#param NIBBLES: flag
#if NORM
#include "reduce.wgsl"
#endif

#struct QuantiseRowsParams

@group(0) @binding(0) var<uniform> params: QuantiseRowsParams;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> scales: array<vec2f>;
#if NORM
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4f>;
#endif

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
#if NORM
#if SUBGROUPS
  @builtin(subgroup_size) subgroup_width: u32,
#endif
#endif
) {
  let source = (params.x_row + group.y) * params.x_stride;
#if NORM
#if !SUBGROUPS
  let subgroup_width = 1u;
#endif
  var squares = 0.0;
  for (var i = lane; i < params.blocks * 8u; i += WG) {
    squares += dot(x[source + i], x[source + i]);
  }
  let factor = inverseSqrt(workgroup_sum(squares, lane, subgroup_width) / f32(params.blocks * 32u) + params.eps);
#else
  let factor = 1.0;
#endif
  for (var block = group.x * WG + lane; block < params.blocks; block += groups.x * WG) {
#unroll j 8
#if NORM
    let v$j = x[source + block * 8u + $ju] * norm_weight[block * 8u + $ju];
#else
    let v$j = x[source + block * 8u + $ju];
#endif
#end
    var most = vec4f(0.0);
#unroll j 8
    most = max(most, abs(v$j));
#end
    let largest = max(max(most.x, most.y), max(most.z, most.w));
    // A block of zeros, or of numbers too small for a scale, is all 0.
    let inverse = select(0.0, 127.0 / largest, largest > 1.0e-30);
    var total = vec4i(0);
#unroll j 8
    let q$j = clamp(vec4i(round(v$j * inverse)), vec4i(-127), vec4i(127));
    total += q$j;
#end
    let at = group.y * params.blocks + block;
#if NIBBLES
    quants[at * 2u] = vec4u(even_of(q0, q1), odd_of(q0, q1), even_of(q2, q3), odd_of(q2, q3));
    quants[at * 2u + 1u] = vec4u(even_of(q4, q5), odd_of(q4, q5), even_of(q6, q7), odd_of(q6, q7));
#else
    quants[at * 2u] = vec4u(pack4xI8(q0), pack4xI8(q1), pack4xI8(q2), pack4xI8(q3));
    quants[at * 2u + 1u] = vec4u(pack4xI8(q4), pack4xI8(q5), pack4xI8(q6), pack4xI8(q7));
#endif
    let scale = largest / 127.0 * factor;
    scales[at] = vec2f(scale, scale * f32(total.x + total.y + total.z + total.w));
  }
}

#if NIBBLES
fn even_of(low: vec4i, high: vec4i) -> u32 {
  return pack4xI8(vec4i(low.xz, high.xz));
}

fn odd_of(low: vec4i, high: vec4i) -> u32 {
  return pack4xI8(vec4i(low.yw, high.yw));
}
#endif
