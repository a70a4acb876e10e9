// What the matrix kernels share: parameters and bindings; the end of each output: matmul-output.wgsl.
// y[t, column + n] = sum_k w[n, k] * x[t, k] (+ bias[n]) (+ y); GATED: activate(w[n] . x (+ bias[n])) * (w2[n] . x (+ bias2[n])).
// Bindings: w, w2 [n, 8 * chunks] packed rows; x [T, 4 * x_stride] f32; bias, bias2 [N] f32; y [T, y_stride] f32.
#param GATED: flag
#include "weights.wgsl"
#include "matmul-output.wgsl"

@group(0) @binding(1) var<storage, read> w: array<vec4u>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
#if GATED
@group(0) @binding(4) var<storage, read> w2: array<vec4u>;
#endif
