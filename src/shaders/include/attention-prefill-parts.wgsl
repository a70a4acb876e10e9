// What the kernels of prefill attention share: parameters and bindings.
// Bindings: q, out [T, 4 * q_stride] f32; k, v: the paged cache, see kv.wgsl; step: the step's arrays, with items of four words: entry, first
// row, token row of the entry's first query, that query's position; sinks [heads] f32: a score without a value, which joins the
// weights; slopes [heads] f32: each score gets slope * (key's position - query's).
#param SOFTCAP: flag
#param SINKS: flag
#param ALIBI: flag
#include "kv-load.wgsl"
#include "visible.wgsl"

#struct AttentionPrefillParams

@group(0) @binding(0) var<uniform> params: AttentionPrefillParams;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> k: array<KvWord>;
@group(0) @binding(3) var<storage, read> v: array<KvWord>;
@group(0) @binding(4) var<storage, read> step: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
#if SINKS
@group(0) @binding(6) var<storage, read> sinks: array<f32>;
#endif
#if ALIBI
@group(0) @binding(7) var<storage, read> slopes: array<f32>;
#endif

const VECS: u32 = D / 4u;
const MASKED: f32 = -3.0e38;
