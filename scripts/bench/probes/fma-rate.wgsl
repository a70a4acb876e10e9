// out[i] = a sum of eight chains of fused multiply-adds: arithmetic without memory.
//
// Bindings: out [invocations] f32. One invocation does rounds * CHAINS * 4 multiply-adds, CHAINS of them independent, in f16 with HALF.
#param WG: u32
#param HALF: flag
#if HALF
enable f16;
#endif

#struct FmaParams

#if HALF
alias Quad = vec4<f16>;
#else
alias Quad = vec4f;
#endif

@group(0) @binding(0) var<uniform> params: FmaParams;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = Quad(vec4f(params.factor));
  let term = Quad(vec4f(f32(id.x % 1024u) * params.factor));
#unroll c 8
  var a$c = term + Quad(vec4f($cf));
#end
  for (var i = 0u; i < params.rounds; i++) {
#unroll c 8
    a$c = fma(a$c, factor, term);
#end
  }
  let sum = vec4f(a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7);
  out[id.x] = sum.x + sum.y + sum.z + sum.w;
}
