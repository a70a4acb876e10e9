// The matrices of a product, in any format: bindings, and eight weights at a time.
// Quantised formats: w = scale * (q - zero), one scale and zero for GROUP elements of a row; without ZEROS all zeros are 0.
// LOAD: chunks of w in one load; only kernels that go through matmul-sums.wgsl know more than 1.
// Bindings: w, w2 [n, 8 * chunks] packed rows; scales, scales2 [n, 8 * chunks / GROUP]: scale and scale * zero as a pair of f16.
#param GATED: flag
#param GROUP: u32
#param ZEROS: flag
#param LOAD: u32
#include "weights.wgsl"
#if FORMAT >= 3
#include "weight-groups.wgsl"
#else
alias Load = Word;
#endif

@group(0) @binding(1) var<storage, read> w: array<Load>;
#if GATED
@group(0) @binding(4) var<storage, read> w2: array<Load>;
#endif
#if FORMAT >= 3
@group(0) @binding(8) var<storage, read> scales: array<u32>;
#if GATED
@group(0) @binding(9) var<storage, read> scales2: array<u32>;
#endif
#endif

#include "weight-reads.wgsl"
