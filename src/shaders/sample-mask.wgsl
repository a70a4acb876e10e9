// logits[r, v] = masked where the bit of v in the row's mask is 0, in place.
//
// Bindings: step: the step's arrays; masks [numMasks, mask_words] bits, lowest first; logits [S, stride] f32.
// Grid: (elements / WG, masks). One invocation does one logit.
#param WG: u32
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> masks: array<u32>;
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let token = group.x * WG + lane;
  if (token >= params.vocab) {
    return;
  }
  let word = masks[group.y * params.mask_words + token / 32u];
  if (((word >> (token % 32u)) & 1u) == 0u) {
    logits[step[params.mask_rows + group.y] * params.stride + token] = -3.0e38;
  }
}
