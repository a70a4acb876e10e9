// Raises limits[r].y to the order key of the last logit that top-k (MASS off) or top-p (MASS on) keeps; ties are kept.
// top-k: the largest key t with count(key >= t) >= top_k.
// top-p: the largest key t with mass(key >= t) >= top_p * mass(key >= limits[r].y), mass = exp((x - x_max) / temperature).
//
// A radix search without sorting: each digit splits the interval of keys that holds t into up to 128 bins and descends into one.
// Masses are added as integers (see `add_mass`) and chunks in a fixed order, so that every run gives the same bits.
// FUSED: one workgroup does all digits of a row. Otherwise one dispatch per digit, grid (chunks, S), and each workgroup first
// settles the digit before from all chunks' bins; a last dispatch with digit = NUM_DIGITS, grid (1, S), only settles.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; limits [S] (peak, lowest key kept);
// bins [2, S, chunks, SLOTS] by parity of the digit; intervals [S, 8], as `interval` below, before each digit.
// Source: the pivot search of Qrita (arXiv 2602.01518), with bins in place of pivots.
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
@group(0) @binding(5) var<storage, read_write> intervals: array<vec4u>;
#endif

const BITS: u32 = 7u;
const BINS: u32 = 128u;
// The slot after the bins is for what lies below the first interval.
const SLOTS: u32 = 129u;
// Digits that 32 bits take.
const NUM_DIGITS: u32 = 5u;

// Counts; or masses in units of 2^-19, and the rest of each in units of 2^-38: 4096 masses of at most 1 do not overflow.
var<workgroup> whole: array<atomic<u32>, SLOTS>;
#if MASS
var<workgroup> fraction: array<atomic<u32>, SLOTS>;
#endif
// Count, or mass as f32 bits, of each bin of all that is searched.
var<workgroup> sums: array<u32, SLOTS>;
// (lowest key, log2 of its size, count or mass as bits to find in it, unused). Size 0: found.
var<workgroup> interval: vec4u;

#if MASS
// Integers add up to the same sum in any order; 2^-38 of the most probable token is finer than the rounding of exp.
fn add_mass(slot: u32, mass: f32) {
  let scaled = mass * 524288.0;
  let units = floor(scaled);
  let rest = u32((scaled - units) * 524288.0 + 0.5);
  if (units > 0.0) {
    atomicAdd(&whole[slot], u32(units));
  }
  if (rest > 0u) {
    atomicAdd(&fraction[slot], rest);
  }
}
#endif

fn add(a: u32, b: u32) -> u32 {
#if MASS
  return bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b));
#else
  return a + b;
#endif
}

// What a chunk's bin holds, once all lanes have added to it.
fn slot_sum(slot: u32) -> u32 {
#if MASS
  let mass = f32(atomicLoad(&whole[slot])) / 524288.0 + f32(atomicLoad(&fraction[slot])) / 274877906944.0;
  return bitcast<u32>(mass);
#else
  return atomicLoad(&whole[slot]);
#endif
}

// The keys that can hold the threshold.
fn first_interval(row: u32) -> vec4u {
  let limit = limits[row];
  let peak = bitcast<f32>(limit.x);
  var lowest = limit.y;
#if MASS
  // All tokens below exp(-reach) of the best have less mass together than top-p may leave out.
  let left_out = max(1.0 - bitcast<f32>(step[params.top_p + row]), 1.0e-8);
  let reach = log(f32(params.vocab) / left_out) + 0.01;
  lowest = max(lowest, order_key(peak - reach * bitcast<f32>(step[params.temperature + row])));
  let to_find = 0u;
#else
  let to_find = step[params.top_k + row];
#endif
  return vec4u(lowest, 32u - countLeadingZeros(order_key(peak) - min(lowest, order_key(peak))), to_find, 0u);
}

// Adds the logits first..last of a row to the bins of the interval.
fn tally(row: u32, now: vec4u, first: u32, last: u32, is_first_digit: bool, lane: u32) {
  for (var slot = lane; slot < SLOTS; slot += WG) {
    atomicStore(&whole[slot], 0u);
#if MASS
    atomicStore(&fraction[slot], 0u);
#endif
  }
  workgroupBarrier();
  let base = row * params.stride;
  let shift = now.y - min(now.y, BITS);
  let num_bins = 1u << (now.y - shift);
#if MASS
  let kept = limits[row].y;
  let peak = bitcast<f32>(limits[row].x);
  let scale = 1.0 / bitcast<f32>(step[params.temperature + row]);
  var below = 0.0;
#endif
  for (var token = first + lane * 4u; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    if (token + $iu < last) {
      let key = order_key(x[$i]);
      let bin = (key - now.x) >> shift;
#if MASS
      if (key >= now.x) {
        if (bin < num_bins) {
          add_mass(bin, exp(max(x[$i] - peak, -1.0e30) * scale));
        }
      } else if (is_first_digit && key >= kept) {
        below += exp(max(x[$i] - peak, -1.0e30) * scale);
      }
#else
      if (key >= now.x && bin < num_bins) {
        atomicAdd(&whole[bin], 1u);
      }
#endif
    }
#end
  }
#if MASS
  add_mass(BINS, below);
#endif
  workgroupBarrier();
}

// The interval after a digit, from its bins: descends to the bin in which the wanted count or mass is reached.
fn settled(row: u32, is_first_digit: bool, before: vec4u) -> vec4u {
  var lowest_used = 0u;
  // Unless a bin reaches it: all bins are kept, down to the lowest that holds anything.
  var is_whole = true;
  let shift = before.y - min(before.y, BITS);
  let num_bins = 1u << (before.y - shift);
#if MASS
  var to_find = bitcast<f32>(before.z);
  if (is_first_digit) {
    var total = bitcast<f32>(sums[BINS]);
    for (var i = 0u; i < num_bins; i++) {
      total += bitcast<f32>(sums[i]);
    }
    to_find = total * bitcast<f32>(step[params.top_p + row]);
  }
  for (var bin = num_bins; bin > 0u; bin--) {
    let mass = bitcast<f32>(sums[bin - 1u]);
    if (mass > 0.0) {
      lowest_used = bin - 1u;
      if (mass >= to_find) {
        is_whole = false;
        break;
      }
      to_find -= mass;
    }
  }
  let rest = bitcast<u32>(to_find);
#else
  var rest = before.z;
  for (var bin = num_bins; bin > 0u; bin--) {
    lowest_used = bin - 1u;
    let count = sums[lowest_used];
    if (count >= rest) {
      is_whole = count == rest;
      break;
    }
    rest -= count;
  }
#endif
  return vec4u(before.x + (lowest_used << shift), select(shift, 0u, is_whole), rest, 0u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
#if MASS
  let is_wanted = bitcast<f32>(step[params.top_p + row]) < 1.0;
#else
  let is_wanted = step[params.top_k + row] > 0u;
#endif
  if (!is_wanted) {
    return;
  }
#if FUSED
  if (lane == 0u) {
    interval = first_interval(row);
  }
  for (var digit = 0u; digit < NUM_DIGITS; digit++) {
    let now = workgroupUniformLoad(&interval);
    if (now.y == 0u) {
      break;
    }
    tally(row, now, 0u, params.vocab, digit == 0u, lane);
    for (var slot = lane; slot < SLOTS; slot += WG) {
      sums[slot] = slot_sum(slot);
    }
    workgroupBarrier();
    if (lane == 0u) {
      interval = settled(row, digit == 0u, now);
    }
  }
  if (lane == 0u) {
    limits[row].y = max(limits[row].y, interval.x);
  }
#else
  let digit = params.digit;
  let row_bins = row * params.chunks * SLOTS;
  let parity_bins = params.max_rows * params.chunks * SLOTS;
  if (digit == 0u) {
    if (lane == 0u) {
      interval = first_interval(row);
    }
  } else {
    let before = intervals[row * 8u + digit - 1u];
    if (before.y > 0u) {
      for (var slot = lane; slot < SLOTS; slot += WG) {
        let from_bins = ((digit - 1u) % 2u) * parity_bins + row_bins + slot;
        var sum = 0u;
        for (var chunk = 0u; chunk < params.chunks; chunk++) {
          sum = add(sum, bins[from_bins + chunk * SLOTS]);
        }
        sums[slot] = sum;
      }
    }
    workgroupBarrier();
    if (lane == 0u) {
      interval = before;
      if (before.y > 0u) {
        interval = settled(row, digit == 1u, before);
      }
    }
  }
  let now = workgroupUniformLoad(&interval);
  if (group.x == 0u && lane == 0u) {
    intervals[row * 8u + digit] = now;
    if (digit == NUM_DIGITS) {
      limits[row].y = max(limits[row].y, now.x);
    }
  }
  if (digit == NUM_DIGITS || now.y == 0u) {
    return;
  }
  tally(row, now, group.x * CHUNK, min((group.x + 1u) * CHUNK, params.vocab), digit == 0u, lane);
  for (var slot = lane; slot < SLOTS; slot += WG) {
    bins[(digit % 2u) * parity_bins + row_bins + group.x * SLOTS + slot] = slot_sum(slot);
  }
#endif
}
