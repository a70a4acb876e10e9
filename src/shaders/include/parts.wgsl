// The sum of what all lanes of a workgroup hold, added in a fixed order. The caller declares WG, a power of two.

// In place of a sum of masses of 0, where every token is banned: the result does not matter, but must be a number.
const NO_MASS: f32 = 1.0e-30;

var<workgroup> lane_sums: array<vec4f, WG>;

fn workgroup_sum(mine: vec4f, lane: u32) -> vec4f {
  workgroupBarrier();
  lane_sums[lane] = mine;
  for (var count = WG / 2u; count > 0u; count /= 2u) {
    workgroupBarrier();
    if (lane < count) {
      lane_sums[lane] += lane_sums[lane + count];
    }
  }
  workgroupBarrier();
  return lane_sums[0];
}
