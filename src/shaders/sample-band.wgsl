// Narrows limits[r] to what locally typical sampling keeps: of the logits by their distance from centers[r], nearest first, the fewest
// with mass(kept) >= typical_p * mass(kept before), mass = exp((x - x_max) / temperature); ties are kept.
//
// A radix search without sorting: each digit splits the interval of keys that holds the last distance into up to 128 bins and descends
// into one. Masses are added as integers (see `add_mass`) and chunks in a fixed order, so that every run gives the same bits.
// FUSED: one workgroup does all digits of a row. Otherwise one dispatch per digit, grid (chunks, S), and each workgroup first
// settles the digit before from all chunks' bins; a last dispatch with digit = NUM_DIGITS, grid (1, S), only settles.
// S counts the entries of the stage, (row, typical_p).
//
// Bindings: step: the step's arrays; logits [S, stride] f32; limits [S], see kept.wgsl; centers [S] f32;
// bins [2, S, chunks, BINS] by parity of the digit; intervals [S, 8], as `interval` below, before each digit.
#param WG: u32
#param CHUNK: u32
#param FUSED: flag
#include "order.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> limits: array<vec4u>;
#if !FUSED
@group(0) @binding(4) var<storage, read_write> bins: array<f32>;
@group(0) @binding(5) var<storage, read_write> intervals: array<vec4u>;
#endif
@group(0) @binding(6) var<storage, read> centers: array<f32>;

const BITS: u32 = 7u;
const BINS: u32 = 128u;
// Digits that 32 bits take.
const NUM_DIGITS: u32 = 5u;

// Masses in units of 2^-19, and the rest of each in units of 2^-38: 4096 masses of at most 1 do not overflow.
var<workgroup> whole: array<atomic<u32>, BINS>;
var<workgroup> fraction: array<atomic<u32>, BINS>;
// The mass of each bin of all that is searched.
var<workgroup> sums: array<f32, BINS>;
// (lowest key, log2 of its size, bits of the mass to find in it, unused). Size 0: found.
var<workgroup> interval: vec4u;

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

// The share of the mass to keep, as bits.
fn wanted(entry: u32) -> u32 {
  return step[params.stage + entry * 4u + 1u];
}

// What a chunk's bin holds, once all lanes have added to it.
fn slot_sum(slot: u32) -> f32 {
  return f32(atomicLoad(&whole[slot])) / 524288.0 + f32(atomicLoad(&fraction[slot])) / 274877906944.0;
}

// A key of a distance has its top bit clear.
const FIRST_INTERVAL = vec4u(0u, 31u, 0u, 0u);

// Adds the logits first..last of a row to the bins of the interval.
fn tally(row: u32, now: vec4u, first: u32, last: u32, lane: u32) {
  for (var slot = lane; slot < BINS; slot += WG) {
    atomicStore(&whole[slot], 0u);
    atomicStore(&fraction[slot], 0u);
  }
  workgroupBarrier();
  let base = row * params.stride;
  let shift = now.y - min(now.y, BITS);
  let num_bins = 1u << (now.y - shift);
  let limit = limits[row];
  let peak = bitcast<f32>(limit.x);
  let scale = 1.0 / bitcast<f32>(step[params.temperature + row]);
  for (var token = first + lane * 4u; token < last; token += WG * 4u) {
    let x = logits[(base + token) / 4u];
#unroll i 4
    if (token + $iu < last) {
      let key = ~order_key(abs(x[$i] - centers[row]));
      let bin = (key - now.x) >> shift;
      let is_in = order_key(x[$i]) >= limit.y && order_key(x[$i]) <= limit.z;
      if (is_in && key >= now.x && bin < num_bins) {
        add_mass(bin, exp(max(x[$i] - peak, -1.0e30) * scale));
      }
    }
#end
  }
  workgroupBarrier();
}

// The interval after a digit, from its bins: descends to the bin in which the wanted mass is reached.
fn settled(entry: u32, is_first_digit: bool, before: vec4u) -> vec4u {
  var lowest_used = 0u;
  // Unless a bin reaches it: all bins are kept, down to the lowest that holds anything.
  var is_whole = true;
  let shift = before.y - min(before.y, BITS);
  let num_bins = 1u << (before.y - shift);
  var to_find = bitcast<f32>(before.z);
  if (is_first_digit) {
    var total = 0.0;
    for (var i = 0u; i < num_bins; i++) {
      total += sums[i];
    }
    to_find = total * bitcast<f32>(wanted(entry));
  }
  for (var bin = num_bins; bin > 0u; bin--) {
    let mass = sums[bin - 1u];
    if (mass > 0.0) {
      lowest_used = bin - 1u;
      if (mass >= to_find) {
        is_whole = false;
        break;
      }
      to_find -= mass;
    }
  }
  return vec4u(before.x + (lowest_used << shift), select(shift, 0u, is_whole), bitcast<u32>(to_find), 0u);
}

const LOWEST_FINITE: u32 = 0x00800000u;
const HIGHEST_FINITE: u32 = 0xff7fffffu;

// The keys nearest to and farthest from the top whose values lie no farther from the center than the key of a distance says, found by
// the same subtraction as that key was: a sum of center and distance would round, and could lose the very token that sets it.
fn band(center: f32, threshold: u32) -> vec2u {
  let distance = key_value(min(~threshold, order_key(3.0e38)));
  let middle = order_key(center);
  var lowest = vec2u(LOWEST_FINITE, middle);
  var highest = vec2u(middle, HIGHEST_FINITE);
  for (var i = 0u; i < 32u; i++) {
    let low = lowest.x + (lowest.y - lowest.x) / 2u;
    if (lowest.x < lowest.y) {
      lowest = select(vec2u(low + 1u, lowest.y), vec2u(lowest.x, low), key_value(low) - center >= -distance);
    }
    let high = highest.y - (highest.y - highest.x) / 2u;
    if (highest.x < highest.y) {
      highest = select(vec2u(highest.x, high - 1u), vec2u(high, highest.y), key_value(high) - center <= distance);
    }
  }
  return vec2u(lowest.x, highest.x);
}

fn narrow(row: u32, entry: u32, threshold: u32) {
  let limit = limits[row];
  let ends = band(centers[row], threshold);
  limits[row] = vec4u(limit.x, max(limit.y, ends.x), min(limit.z, ends.y), wanted(entry));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let entry = group.y;
  let row = step[params.stage + entry * 4u];
#if FUSED
  if (lane == 0u) {
    interval = FIRST_INTERVAL;
  }
  for (var digit = 0u; digit < NUM_DIGITS; digit++) {
    let now = workgroupUniformLoad(&interval);
    if (now.y == 0u) {
      break;
    }
    tally(row, now, 0u, params.vocab, lane);
    for (var slot = lane; slot < BINS; slot += WG) {
      sums[slot] = slot_sum(slot);
    }
    workgroupBarrier();
    if (lane == 0u) {
      interval = settled(entry, digit == 0u, now);
    }
  }
  if (lane == 0u) {
    narrow(row, entry, interval.x);
  }
#else
  let digit = params.digit;
  let row_bins = row * params.chunks * BINS;
  let parity_bins = params.max_rows * params.chunks * BINS;
  if (digit == 0u) {
    if (lane == 0u) {
      interval = FIRST_INTERVAL;
    }
  } else {
    let before = intervals[row * 8u + digit - 1u];
    if (before.y > 0u) {
      for (var slot = lane; slot < BINS; slot += WG) {
        let from_bins = ((digit - 1u) % 2u) * parity_bins + row_bins + slot;
        var sum = 0.0;
        for (var chunk = 0u; chunk < params.chunks; chunk++) {
          sum += bins[from_bins + chunk * BINS];
        }
        sums[slot] = sum;
      }
    }
    workgroupBarrier();
    if (lane == 0u) {
      interval = before;
      if (before.y > 0u) {
        interval = settled(entry, digit == 1u, before);
      }
    }
  }
  let now = workgroupUniformLoad(&interval);
  if (group.x == 0u && lane == 0u) {
    intervals[row * 8u + digit] = now;
    if (digit == NUM_DIGITS) {
      narrow(row, entry, now.x);
    }
  }
  if (digit == NUM_DIGITS || now.y == 0u) {
    return;
  }
  tally(row, now, group.x * CHUNK, min((group.x + 1u) * CHUNK, params.vocab), lane);
  for (var slot = lane; slot < BINS; slot += WG) {
    bins[(digit % 2u) * parity_bins + row_bins + group.x * BINS + slot] = slot_sum(slot);
  }
#endif
}
