// blocks[r, b] = (order key of the largest logit in block b of row r, or 0 of an empty block; where the row wants top-p also the
// block's mass in units of that logit's, sum of exp((x - x_block) / temperature), as f32 bits).
// With `skips_plain` rows that truncate nothing are left out.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; blocks [S, chunks * LANES], see blocks.wgsl.
// Grid: (chunks, S); WG is LANES. One workgroup does one chunk, one invocation one block.
#param WG: u32
#param LOADS: u32
#include "order.wgsl"
#include "blocks.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> blocks: array<vec2u>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let wants_mass = bitcast<f32>(step[params.top_p + row]) < 1.0;
  let has_floor = step[params.top_k + row] > 0u || bitcast<f32>(step[params.log_min_p + row]) > -1.0e30;
  if (params.skips_plain == 1u && !wants_mass && !has_floor) {
    return;
  }
  let base = row * params.stride;
  let end = min((group.x + 1u) * CHUNK, params.vocab);
  let final_vector = (end - 1u) / 4u * 4u;
  let block = group.x * LANES + lane;
  // Loads in flight together; what lies behind the end is read twice, and counts for nothing.
  var keys = vec4u(0u);
  for (var vector = 0u; vector < BLOCK_VECTORS; vector += LOADS) {
#unroll i LOADS
    let at$i = block_token(block, vector + $iu);
    let x$i = logits[(base + min(at$i, final_vector)) / 4u];
#end
#unroll i LOADS
    keys = max(keys, keys_until(x$i, at$i, end));
#end
  }
  let largest = max(max(keys.x, keys.y), max(keys.z, keys.w));
  var mass = 0.0;
  if (wants_mass && largest > 0u) {
    let peak = key_value(largest);
    let scale = 1.0 / bitcast<f32>(step[params.temperature + row]);
    var masses = vec4f(0.0);
    for (var vector = 0u; vector < BLOCK_VECTORS; vector += LOADS) {
#unroll i LOADS
      let at$i = block_token(block, vector + $iu);
      let x$i = logits[(base + min(at$i, final_vector)) / 4u];
#end
#unroll i LOADS
      let mass$i = exp(max(x$i - peak, vec4f(-1.0e30)) * scale);
      masses += select(vec4f(0.0), mass$i, vec4u(at$i) + vec4u(0u, 1u, 2u, 3u) < vec4u(end));
#end
    }
    mass = (masses.x + masses.y) + (masses.z + masses.w);
  }
  blocks[row * params.chunks * LANES + block] = vec2u(largest, bitcast<u32>(mass));
}
