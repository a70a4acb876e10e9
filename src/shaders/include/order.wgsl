// Floats as u32 keys in the same order (the two zeros are one), and the best (key, id) pair of a workgroup: the highest key,
// then the lowest id. The caller declares WG, a multiple of 8.
const NO_ID: u32 = 0xffffffffu;
const NOTHING = vec2u(0u, NO_ID);

fn order_key(x: f32) -> u32 {
  let bits = bitcast<u32>(select(x, 0.0, x == 0.0));
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn order_keys(x: vec4f) -> vec4u {
  let bits = bitcast<vec4u>(select(x, vec4f(0.0), x == vec4f(0.0)));
  return select(bits | vec4u(0x80000000u), ~bits, (bits & vec4u(0x80000000u)) != vec4u(0u));
}

fn key_value(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

fn better(a: vec2u, b: vec2u) -> vec2u {
  return select(b, a, a.x > b.x || (a.x == b.x && a.y <= b.y));
}

var<workgroup> best_lanes: array<vec2u, WG>;
var<workgroup> best_parts: array<vec2u, 8>;

// Two barriers: the next call writes only what everybody has read by then.
fn workgroup_best(mine: vec2u, lane: u32) -> vec2u {
  best_lanes[lane] = mine;
  workgroupBarrier();
  if (lane < 8u) {
    var best = mine;
    for (var i = lane + 8u; i < WG; i += 8u) {
      best = better(best, best_lanes[i]);
    }
    best_parts[lane] = best;
  }
  workgroupBarrier();
  var best = best_parts[0];
  for (var i = 1u; i < 8u; i++) {
    best = better(best, best_parts[i]);
  }
  return best;
}
