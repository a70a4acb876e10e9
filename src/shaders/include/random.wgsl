// Random words by counter: a pure function of key and counter, so that a draw depends on nothing that ran before or beside it.
// Source: Philox4x32-10 of Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

// (high word, low word) of a * b.
fn wide_product(a: u32, b: u32) -> vec2u {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let cross = a_high * b_low;
  let other = a_low * b_high;
  let middle = ((a_low * b_low) >> 16u) + (cross & 0xffffu) + (other & 0xffffu);
  return vec2u(a_high * b_high + (cross >> 16u) + (other >> 16u) + (middle >> 16u), a * b);
}

fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var i = 0u; i < 10u; i++) {
    let p = wide_product(0xd2511f53u, c.x);
    let q = wide_product(0xcd9e8d57u, c.z);
    c = vec4u(q.x ^ c.y ^ k.x, q.y, p.x ^ c.w ^ k.y, p.y);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

// -log(1 - v) with v = (word + 1/2) / 2^32. Small results decide who wins an exponential race, so they need full relative
// precision: below v = 1/2 by the series 2 atanh(s), s = v / (2 - v) <= 1/3, and above by the logarithm of the exact complement.
fn exponential(word: u32) -> f32 {
  if (word >= 0x80000000u) {
    return -log((f32(~word) + 0.5) * 2.3283064365386963e-10);
  }
  let v = (f32(word) + 0.5) * 2.3283064365386963e-10;
  let s = v / (2.0 - v);
  let q = s * s;
  let tail = 0.14285714 + q * (0.11111111 + q * (0.09090909 + q * (0.07692308 + q * 0.06666667)));
  return 2.0 * s * (1.0 + q * (0.33333334 + q * (0.2 + q * tail)));
}

// Standard Gumbel noise: the argmax of x + gumbel is a sample of softmax(x).
fn gumbel(word: u32) -> f32 {
  return -log(exponential(word));
}
