// Raises limits[r].y to the order key of the last logit that top-k (MASS off) or top-p (MASS on) keeps; ties are kept.
// top-k: the largest key t with count(key >= t) >= top_k.
// top-p: the largest key t with mass(key >= t) >= top_p * mass(key >= limits[r].y), mass = exp((x - x_max) / temperature).
//
// A radix search without sorting: digit d looks at 5 more bits of the key. Every lane has its own column of 32 bins, and columns and
// chunks are summed in a fixed order, so float masses are the same in every run and need no atomics.
// FUSED: one workgroup does all digits of a row. Otherwise one dispatch per digit, grid (chunks, S), and each workgroup first
// settles the digit before from all chunks' bins; a last dispatch with digit = NUM_DIGITS, grid (1, S), only settles.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; limits [S] (peak, lowest key kept);
// bins [2, S, chunks, 32] by parity of the digit; intervals [S, 8] (lowest key, count or mass still to be found).
// Source: the pivot search of Qrita (arXiv 2602.01518), with fixed digits in place of pivots.
#param WG: u32
#param CHUNK: u32
#param MASS: flag
#param FUSED: flag
#include "order.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> limits: array<vec2u>;
#if !FUSED
@group(0) @binding(4) var<storage, read_write> bins: array<u32>;
@group(0) @binding(5) var<storage, read_write> intervals: array<vec2u>;
#endif

const BINS: u32 = 32u;
const NUM_DIGITS: u32 = 7u;

// A bin's count, or its mass as bits. Column of a lane: columns[bin * WG + lane].
var<workgroup> columns: array<u32, BINS * WG>;
var<workgroup> halves: array<u32, WG>;
var<workgroup> sums: array<u32, BINS>;
// (lowest key of the interval that holds the threshold, count or mass to find in it; 0 = the interval is kept whole)
var<workgroup> interval: vec2u;

fn add(a: u32, b: u32) -> u32 {
#if MASS
  return bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b));
#else
  return a + b;
#endif
}

// Lowest bit of a digit: 27, 22, 17, 12, 7, 2, 0. The last one has only two bits.
fn shift_of(digit: u32) -> u32 {
  return 27u - min(digit * 5u, 27u);
}

// Fills `sums` with the bins of the logits first..last of a row that lie in the interval.
fn tally(row: u32, digit: u32, lowest: u32, first: u32, last: u32, lane: u32) {
  for (var bin = 0u; bin < BINS; bin++) {
    columns[bin * WG + lane] = 0u;
  }
  let base = row * params.stride;
  let shift = shift_of(digit);
  let num_bins = select(BINS, 4u, digit + 1u == NUM_DIGITS);
#if MASS
  let kept = limits[row].y;
  let peak = bitcast<f32>(limits[row].x);
  let scale = 1.0 / bitcast<f32>(step[params.temperature + row]);
#endif
  for (var token = first + lane * 4u; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    {
      let key = order_key(x[$i]);
      let bin = (key - lowest) >> shift;
#if MASS
      if (token + $iu < last && key >= lowest && bin < num_bins && key >= kept) {
        let mass = exp(max(x[$i] - peak, -1.0e30) * scale);
        columns[bin * WG + lane] = add(columns[bin * WG + lane], bitcast<u32>(mass));
      }
#else
      if (token + $iu < last && key >= lowest && bin < num_bins) {
        columns[bin * WG + lane] += 1u;
      }
#endif
    }
#end
  }
  workgroupBarrier();
  // Two lanes per bin; each starts elsewhere, so that the lanes do not meet in one bank.
  let from_column = (lane / 2u) * WG + (lane % 2u) * BINS;
  var sum = 0u;
  for (var i = 0u; i < BINS; i++) {
    sum = add(sum, columns[from_column + (i + lane) % BINS]);
  }
  halves[lane] = sum;
  workgroupBarrier();
  if (lane < BINS) {
    sums[lane] = add(halves[lane * 2u], halves[lane * 2u + 1u]);
  }
  workgroupBarrier();
}

// The interval after a digit, from its bins: descends to the bin in which the wanted count or mass is reached.
fn settled(row: u32, digit: u32, before: vec2u) -> vec2u {
  var lowest_used = 0u;
#if MASS
  var to_find = bitcast<f32>(before.y);
  if (digit == 0u) {
    var total = 0.0;
    for (var i = 0u; i < BINS; i++) {
      total += bitcast<f32>(sums[BINS - 1u - i]);
    }
    to_find = total * bitcast<f32>(step[params.top_p + row]);
  }
  for (var i = 0u; i < BINS; i++) {
    let bin = BINS - 1u - i;
    let mass = bitcast<f32>(sums[bin]);
    if (mass > 0.0) {
      lowest_used = bin;
      if (mass >= to_find) {
        break;
      }
      to_find -= mass;
    }
  }
  // Rounding may leave a rest that no bin holds; the search then ends at the lowest token that has mass.
  return vec2u(before.x + (lowest_used << shift_of(digit)), bitcast<u32>(to_find));
#else
  if (before.y == 0u) {
    return before;
  }
  var to_find = before.y;
  for (var i = 0u; i < BINS; i++) {
    lowest_used = BINS - 1u - i;
    let count = sums[lowest_used];
    if (count >= to_find) {
      to_find = select(to_find, 0u, count == to_find);
      break;
    }
    to_find -= count;
  }
  return vec2u(before.x + (lowest_used << shift_of(digit)), to_find);
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
#if MASS
  let start = vec2u(0u, 0u);
  if (bitcast<f32>(step[params.top_p + row]) >= 1.0) {
    return;
  }
#else
  let start = vec2u(0u, step[params.top_k + row]);
  if (start.y == 0u) {
    return;
  }
#endif
#if FUSED
  if (lane == 0u) {
    interval = start;
  }
  for (var digit = 0u; digit < NUM_DIGITS; digit++) {
    let now = workgroupUniformLoad(&interval);
#if !MASS
    if (now.y == 0u) {
      break;
    }
#endif
    tally(row, digit, now.x, 0u, params.vocab, lane);
    if (lane == 0u) {
      interval = settled(row, digit, now);
    }
  }
  if (lane == 0u) {
    limits[row].y = max(limits[row].y, interval.x);
  }
#else
  let digit = params.digit;
  let row_bins = row * params.chunks * BINS;
  let half = params.max_rows * params.chunks * BINS;
  if (digit == 0u) {
    if (lane == 0u) {
      interval = start;
    }
  } else {
    if (lane < BINS) {
      let from_bins = ((digit - 1u) % 2u) * half + row_bins + lane;
      var sum = 0u;
      for (var chunk = 0u; chunk < params.chunks; chunk++) {
        sum = add(sum, bins[from_bins + chunk * BINS]);
      }
      sums[lane] = sum;
    }
    workgroupBarrier();
    if (lane == 0u) {
      interval = settled(row, digit - 1u, intervals[row * 8u + digit - 1u]);
    }
  }
  let now = workgroupUniformLoad(&interval);
  if (group.x == 0u && lane == 0u) {
    intervals[row * 8u + digit] = now;
    if (digit == NUM_DIGITS) {
      limits[row].y = max(limits[row].y, now.x);
    }
  }
#if MASS
  let is_found = digit == NUM_DIGITS;
#else
  let is_found = digit == NUM_DIGITS || now.y == 0u;
#endif
  if (is_found) {
    return;
  }
  tally(row, digit, now.x, group.x * CHUNK, min((group.x + 1u) * CHUNK, params.vocab), lane);
  if (lane < BINS) {
    bins[(digit % 2u) * half + row_bins + group.x * BINS + lane] = sums[lane];
  }
#endif
}
