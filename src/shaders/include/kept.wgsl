// What truncation has kept of a row so far. limits[r] = (bits of the largest logit, lowest key kept, highest key kept,
// bits of a lower bound of the mass kept, in units of the mass of the largest logit).

// Below this a logit is masked.
const BANNED: f32 = -1.0e30;

fn is_kept(limit: vec4u, x: f32) -> bool {
  let key = order_key(x);
  return x > BANNED && key >= limit.y && key <= limit.z;
}
