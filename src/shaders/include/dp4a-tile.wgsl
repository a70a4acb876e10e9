// A tile of a product of quantised weights and quantised rows of x: constants and workgroup memory; in the middle of a kernel: dp4a-sums.wgsl.
// A workgroup of 16 x 16 invocations gives 64 rows by 64 outputs, each invocation a 4 x 4 block. Staged are bytes, 32 elements of k to
// a block; a block's sum is an exact integer and is scaled once. The includer declares GATED, and LOAD is 2.
const SIDE: u32 = 16u;
const WG: u32 = SIDE * SIDE;
const TILE: u32 = SIDE * 4u;
// Blocks in one stage. A pair of matrices takes one, to stay within 16 KiB.
#if GATED
const STAGE: u32 = 1u;
#else
const STAGE: u32 = 2u;
#endif
// Halves of a block in a staged row, padded to an odd number against bank conflicts.
const HALVES: u32 = STAGE * 2u;
const PITCH: u32 = HALVES + 1u;

var<workgroup> x_tile: array<vec4u, TILE * PITCH>;
var<workgroup> x_tile_scales: array<vec2f, TILE * STAGE>;
var<workgroup> w_tile: array<vec4u, TILE * PITCH>;
var<workgroup> w_tile_scales: array<vec2f, TILE * STAGE>;
#if GATED
var<workgroup> w2_tile: array<vec4u, TILE * PITCH>;
var<workgroup> w2_tile_scales: array<vec2f, TILE * STAGE>;
#endif

// No row of x or of w.
const NONE: u32 = 0xffffffffu;
