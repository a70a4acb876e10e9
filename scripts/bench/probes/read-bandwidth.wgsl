// sums[i] = sum of every WG-th quad of a workgroup's strip: reads a whole buffer once, in order, neighbours reading neighbours.
//
// Bindings: source [groups * strip] vec4 of u32; sums [groups * WG] u32. One workgroup reads one strip, one invocation gives one sum.
// LOADS of an invocation are under way at once; a strip is a multiple of WG * LOADS quads.
#param WG: u32
#param LOADS: u32

#struct BandwidthParams

@group(0) @binding(0) var<uniform> params: BandwidthParams;
@group(0) @binding(1) var<storage, read> source: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let end = (group.x + 1u) * params.strip;
  var sum = vec4u(0u);
  for (var i = group.x * params.strip + lane; i < end; i += WG * LOADS) {
#unroll k LOADS
    let quad$k = source[i + $ku * WG];
#end
#unroll k LOADS
    sum += quad$k;
#end
  }
  sums[group.x * WG + lane] = sum.x + sum.y + sum.z + sum.w;
}
