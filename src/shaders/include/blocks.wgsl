// A row of logits in blocks, of which the largest logit is known: whoever looks for large ones reads few blocks.
// Block c * LANES + l is what lane l of the LANES lanes that walk chunk c reads: vectors of 4 logits, LANES vectors apart.
#param CHUNK: u32
#param LANES: u32

const BLOCK_VECTORS: u32 = CHUNK / (LANES * 4u);

// The first token of a vector of a block.
fn block_token(block: u32, vector: u32) -> u32 {
  return (block / LANES) * CHUNK + (vector * LANES + block % LANES) * 4u;
}

// Order keys of the logits from `token` on; 0, which no logit has, for those from `end` on.
fn keys_until(x: vec4f, token: u32, end: u32) -> vec4u {
  return select(vec4u(0u), order_keys(x), vec4u(token) + vec4u(0u, 1u, 2u, 3u) < vec4u(end));
}
