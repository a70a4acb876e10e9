// What the matrix kernels share: parameters and bindings; the matrices: matmul-weights.wgsl; the end of each output: matmul-output.wgsl.
// y[t, column + n] = sum_k w[n, k] * x[t, k] (+ bias[n]) (+ y); GATED: activate(w[n] . x (+ bias[n])) * (w2[n] . x (+ bias2[n])).
// NORM: x[t, k] stands for x[t, k] * norm_weight[k] * inverseSqrt(mean_k(x[t, k]^2) + eps); only kernels that say so can.
// DP4A: x comes as quantise-rows.wgsl gives it, bytes in x and scales in x_scales [T, 8 * chunks / 32].
// Bindings: x [T, 4 * x_stride] f32; norm_weight [8 * chunks] f32.
#param NORM: flag
#param DP4A: flag
#include "matmul-weights.wgsl"
#include "matmul-output.wgsl"
#if DP4A
#include "dp4a.wgsl"

@group(0) @binding(2) var<storage, read> x: array<vec4u>;
@group(0) @binding(10) var<storage, read> x_scales: array<vec2f>;
#else
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
#endif
#if NORM
@group(0) @binding(7) var<storage, read> norm_weight: array<vec4f>;
#endif
