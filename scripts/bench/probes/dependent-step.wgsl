// values[i] = values[i] / 2 + 1: next to no work, but each dispatch must wait for the one before.
//
// Bindings: values [WG] f32. One workgroup; one invocation changes one value.
#param WG: u32

@group(0) @binding(0) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
  values[lane] = values[lane] * 0.5 + 1.0;
}
