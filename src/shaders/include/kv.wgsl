// Where keys and values lie in the paged cache. Everything is counted in chunks of eight elements.
//
// Layout: [block][kv head] units of 2^block_shift rows of D elements; the scales of a unit's rows, where the format has them,
// follow its rows. FORMAT: 0 = f32, 1 = bf16 pairs, 2 = f16 pairs, 3 = int8 with an f32 scale per row, 4 = fp8 e4m3, 5 = fp8 e5m2.
// The caller declares D. Readers include kv-load.wgsl, the writer kv-store.wgsl.
#param FORMAT: u32

const CHUNKS: u32 = D / 8u;

// Chunk at which the unit of a block and a head starts; its row r starts r * CHUNKS later.
fn kv_unit(block: u32, kv_head: u32, kv_heads: u32, block_shift: u32) -> u32 {
  let unit = block * kv_heads + kv_head;
#if FORMAT == 3
  // Two scales take the room of a chunk.
  return ((unit * CHUNKS) << block_shift) + ((unit << block_shift) >> 1u);
#else
  return (unit * CHUNKS) << block_shift;
#endif
}
