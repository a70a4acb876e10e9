// y[t] = table[id[t]], for the ids that this shard of the table holds; the others are left alone.
//
// An id with its highest bit set names a slot: the step before left the token there (sample-pick.wgsl), and the host does not know it yet.
// Bindings: table [rows, 8 * chunks] packed; step: the step's arrays; next_tokens [slots]; y [T, 4 * y_stride] f32. One invocation gives
// eight elements.
#param WG: u32
#include "weights.wgsl"

#struct EmbedParams

@group(0) @binding(0) var<uniform> params: EmbedParams;
@group(0) @binding(1) var<storage, read> table: array<vec4u>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read> next_tokens: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

const PENDING: u32 = 0x80000000u;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let token = group.y;
  var row = step[params.token_ids + token];
  if (row >= PENDING) {
    row = next_tokens[row - PENDING];
  }
  if (row < params.first_row || row >= params.first_row + params.rows) {
    return;
  }
  let chunk = group.x * WG + lane;
  if (chunk < params.chunks) {
    let at = ((row - params.first_row) * params.chunks + chunk) * WORDS_PER_CHUNK;
    let values = unpack8(table[at], table[at + WORDS_PER_CHUNK - 1u]);
    y[token * params.y_stride + chunk * 2u] = values.low;
    y[token * params.y_stride + chunk * 2u + 1u] = values.high;
  }
}
