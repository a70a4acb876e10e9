// out[i] = a sum of 32 chains of dot products of four signed bytes: integer arithmetic without memory.
//
// Bindings: out [invocations] i32. One invocation does rounds * CHAINS * 4 dot products, each four multiply-adds; every one takes the
// result of the one before, so that none can be left out.
#param WG: u32

#struct Dp4aParams

@group(0) @binding(0) var<uniform> params: Dp4aParams;
@group(0) @binding(1) var<storage, read_write> out: array<i32>;

fn next(chain: vec4u, factor: u32) -> vec4u {
  return vec4u(
    u32(dot4I8Packed(chain.x, factor)), u32(dot4I8Packed(chain.y, factor)),
    u32(dot4I8Packed(chain.z, factor)), u32(dot4I8Packed(chain.w, factor))) + chain;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = vec4u(id.x) * params.factor;
#unroll c 8
  var a$c = first + vec4u($cu);
#end
  for (var i = 0u; i < params.rounds; i++) {
#unroll c 8
    a$c = next(a$c, params.factor);
#end
  }
  let sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7;
  out[id.x] = i32(sum.x + sum.y + sum.z + sum.w);
}
