// From which key on a query sees the cache.

// First key that the last of `context` tokens sees; window 0 = all.
fn first_visible(context: u32, window: u32) -> u32 {
  return select(0u, context - window, window != 0u && context > window);
}
