// Histograms of a workgroup: counts, or masses as integers of 64 bits, which add up to the same sum in any order; and sums over lanes in a
// fixed order. The caller declares BITS, and WG, a power of two, at most SLOTS.
const SLOTS: u32 = 1u << BITS;

// Counts, or masses in units of 2^-40. One slot more for what lies outside.
var<workgroup> slot_low: array<atomic<u32>, SLOTS + 1u>;
var<workgroup> slot_high: array<atomic<u32>, SLOTS + 1u>;
var<workgroup> lane_sums: array<vec2f, 2u * WG>;

fn clear_slots(lane: u32) {
  for (var slot = lane; slot < SLOTS + 1u; slot += WG) {
    atomicStore(&slot_low[slot], 0u);
    atomicStore(&slot_high[slot], 0u);
  }
}

fn add_mass(slot: u32, mass: f32) {
  let scaled = mass * 256.0;
  let whole = floor(scaled);
  let rest = u32((scaled - whole) * 4294967296.0);
  let before = atomicAdd(&slot_low[slot], rest);
  let carried = u32(whole) + select(0u, 1u, before > ~rest);
  if (carried > 0u) {
    atomicAdd(&slot_high[slot], carried);
  }
}

fn slot_value(slot: u32, is_mass: bool) -> f32 {
  let low = f32(atomicLoad(&slot_low[slot]));
  return select(low, f32(atomicLoad(&slot_high[slot])) * 0.00390625 + low * 9.094947017729282e-13, is_mass);
}

// (what the lanes before this one hold, what all hold), of both components.
struct LaneSums {
  before: vec2f,
  total: vec2f,
}

// The caller puts a barrier before the next call, and gives WG in a way that no compiler sees through: it would unroll the barriers,
// and take seconds for it.
fn sum_lanes(mine: vec2f, lane: u32, num_lanes: u32) -> LaneSums {
  var side = 0u;
  lane_sums[lane] = mine;
  for (var distance = 1u; distance < num_lanes; distance *= 2u) {
    workgroupBarrier();
    var sum = lane_sums[side + lane];
    if (lane >= distance) {
      sum += lane_sums[side + lane - distance];
    }
    side = WG - side;
    lane_sums[side + lane] = sum;
  }
  workgroupBarrier();
  let before = lane_sums[side + max(lane, 1u) - 1u];
  return LaneSums(select(before, vec2f(0.0), lane == 0u), lane_sums[side + WG - 1u]);
}
