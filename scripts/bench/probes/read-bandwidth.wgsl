// sums[i] = sum of source[i], source[i + stride], ...: reads a whole buffer once, with neighbours reading neighbours.
//
// Bindings: source [quads] vec4 of u32; sums [stride] u32. One invocation gives one sum.
#param WG: u32

#struct BandwidthParams

@group(0) @binding(0) var<uniform> params: BandwidthParams;
@group(0) @binding(1) var<storage, read> source: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = vec4u(0u);
  for (var i = id.x; i < params.quads; i += params.stride) {
    sum += source[i];
  }
  sums[id.x] = sum.x + sum.y + sum.z + sum.w;
}
