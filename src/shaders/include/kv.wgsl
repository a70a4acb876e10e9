// Where keys and values lie in the paged cache, and from which key on a query sees them.

// Row of D elements in a layout of [block][kv head][slot in block], with 2^block_shift slots per block.
fn kv_row(block: u32, kv_head: u32, offset: u32, kv_heads: u32, block_shift: u32) -> u32 {
  return ((block * kv_heads + kv_head) << block_shift) + offset;
}

// First key that the last of `context` tokens sees; window 0 = all.
fn first_visible(context: u32, window: u32) -> u32 {
  return select(0u, context - window, window != 0u && context > window);
}
