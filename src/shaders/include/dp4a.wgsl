// Products of signed bytes, 16 at a time. Weights as they unpack: bytes in plain order, of nibbles first the even ones of eight.

#if FORMAT == 3
fn bytes_of(weights: vec4u) -> vec4u {
  return weights;
}
#else
fn bytes_of(weights: vec2u) -> vec4u {
  let even = weights & vec2u(0x0f0f0f0fu);
  let odd = (weights >> vec2u(4u)) & vec2u(0x0f0f0f0fu);
  return vec4u(even.x, odd.x, even.y, odd.y);
}
#endif

fn dot16(a: vec4u, b: vec4u) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

// A block's part of an output. Scales: x = the scale; y = scale * zero of the weights, scale * sum(q) of x.
fn block_product(quants: i32, weight_scale: vec2f, x_scale: vec2f) -> f32 {
#if ZEROS
  return weight_scale.x * x_scale.x * f32(quants) - weight_scale.y * x_scale.y;
#else
  return weight_scale.x * x_scale.x * f32(quants);
#endif
}
