// limits[r] = what min-p, top-k and top-p keep of row r, see kept.wgsl; ties at an end are kept. `narrow_stages` says which of them to do.
// min-p: p >= min_p * p_max <=> x >= x_max + temperature * log(min_p); together with setting the limits that were not set before.
// top-k: the largest key t with count(key >= t) >= top_k.
// top-p: the largest key t with mass(kept, key >= t) >= top_p * mass(kept), mass = exp((x - x_max) / temperature).
//
// The largest logits of the blocks alone give a key below which t cannot lie. What lies above is read, from blocks that reach so high, into
// a list of up to LIST keys; sorted, it tells t, and mostly top-p's after top-k's. Where more lies above, that reading has counted it
// into slots: the one with t is read next, and so on, until the rest fits the list. All of this is one loop over a state in workgroup
// memory: compilers take long for code with many barriers, and the longer, the more variables outlive them.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; blocks [S, chunks * LANES] of sample-survey.wgsl; limits [S].
// Grid: S. One workgroup does one row. The list's order before it is sorted is chance, and sums are taken after that, or as
// integers: every run gives the same bits.
// Source: the pivot search of Qrita (arXiv 2602.01518), with slots in place of pivots.
#param WG: u32
#include "order.wgsl"
#include "blocks.wgsl"
#include "narrow.wgsl"
#struct SampleParams

@group(0) @binding(0) var<uniform> params: SampleParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> blocks: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> limits: array<vec4u>;

// Bits of `narrow_stages`.
const STAGE_START: u32 = 1u;
const STAGE_TOP_K: u32 = 2u;
const STAGE_TOP_P: u32 = 4u;
// So many times the blocks that are wanted are few enough.
const FEW_BLOCKS: f32 = 1.25;

// The phase, and the keys that are listed.
var<workgroup> control: vec2u;
var<workgroup> largest: atomic<u32>;
var<workgroup> first_found: atomic<u32>;

fn is_list(phase: u32) -> bool {
  return phase == COUNT_LISTED || phase == MASS_LISTED || phase == MASS_SORTED;
}

// What a slot or an entry of the list holds, and the blocks in a slot.
fn value_at(phase: u32, span: Span, i: u32) -> vec2f {
  let is_mass = phase >= MASS_BLOCKS;
  if (!is_list(phase)) {
    if (phase == MASS_BLOCKS) {
      return vec2f(slot_value(i, true), f32(atomicLoad(&slot_blocks[i])));
    }
    return vec2f(slot_value(i, is_mass), 0.0);
  }
  let key = list[i];
  if (key < span.lowest) {
    return vec2f(0.0);
  }
  var value = 1.0;
  if (is_mass) {
    value = mass_of(span, key);
  }
  return vec2f(value, 0.0);
}

// What the lane knows that found the slot or entry; `at` = NONE: nothing reaches the goal.
struct Finding {
  at: u32,
  before: f32,
  // What the slot or entry holds; in the phase of masses of blocks, how many blocks reach the bound.
  value: f32,
  goal: f32,
  total: f32,
}

fn is_all_kept() -> bool {
  return state.lowest == 0u && state.highest == NONE;
}

// Makes the keys from `start` to the largest logit's the span. Returns whether there is more than one.
fn span_above(start: u32) -> bool {
  state.start = start;
  state.size = 32u - countLeadingZeros(state.peak - min(start, state.peak));
  state.is_first = 1u;
  state.rest = 0.0;
  return state.size > 0u;
}

// Top-p's first phase, after top-k's last.
fn begin_mass(row: u32, has_list: bool) -> u32 {
  let top_p = bitcast<f32>(step[params.top_p + row]);
  if ((params.narrow_stages & STAGE_TOP_P) == 0u || top_p >= 1.0) {
    return DONE;
  }
  state.goal = top_p;
  state.is_share = select(0u, 1u, has_list);
  return select(MASS_BLOCKS, MASS_SORTED, has_list);
}

// Whether so many blocks that reach high speak for more logits than the list can take, were these thrown at the blocks at random. An error
// costs time alone.
fn is_crowd(num_reaching: f32) -> u32 {
  let num_blocks = f32(min(params.chunks * LANES, (params.vocab + 3u) / 4u));
  let share_without = max(1.0 - num_reaching / num_blocks, 1.0e-6);
  return select(0u, 1u, params.vocab > LIST && -log(share_without) * num_blocks > 2.0 * f32(LIST));
}

// One lane's work: what follows from a round. Returns the next phase.
fn next_phase(phase: u32, row: u32, found: Finding) -> u32 {
  let span = current_span(row);
  if (phase == COUNT_BLOCKS) {
    var start = state.start;
    if (found.at != NONE) {
      start = lowest_key(span, found.at);
      if (span.shift > 0u && found.before + found.value > FEW_BLOCKS * found.goal) {
        state.size = span.shift;
        state.start = start;
        state.goal = found.goal - found.before;
        return COUNT_BLOCKS;
      }
    }
    state.is_long = is_crowd(found.before + found.value);
    if (span_above(start)) {
      state.goal = f32(step[params.top_k + row]);
      return COUNT_LOGITS;
    }
    state.lowest = max(state.lowest, start);
    return begin_mass(row, false);
  }
  if (phase == MASS_BLOCKS) {
    var bound = max(state.lowest, 1u);
    if (found.at != NONE) {
      bound = max(bound, order_key(key_value(state.peak) - f32(found.at) / (FINENESS * span.scale)));
    }
    state.is_long = is_crowd(found.value);
    state.is_share = select(1u, 0u, is_all_kept());
    state.goal = found.goal * select(1.0, found.total, is_all_kept());
    if (span_above(bound)) {
      return MASS_LOGITS;
    }
    state.lowest = max(state.lowest, bound);
    return DONE;
  }
  if (!is_list(phase)) {
    if (state.is_long == 0u && atomicLoad(&list_size) <= LIST) {
      state.rest = slot_value(SLOTS, true);
      return phase + 1u;
    }
    if (found.at != NONE && span.shift > 0u) {
      let start = lowest_key(span, found.at);
      state.size = span.shift;
      state.start = start;
      state.goal = found.goal - found.before;
      state.is_long = select(0u, 1u, phase == COUNT_LOGITS && found.value > f32(LIST));
      state.is_share = 0u;
      state.is_first = 0u;
      return phase;
    }
  }
  // Where nothing reaches the goal, all of the span is kept.
  var threshold = state.start;
  if (found.at != NONE) {
    if (is_list(phase)) {
      threshold = list[found.at];
    } else {
      threshold = lowest_key(span, found.at);
    }
  }
  state.lowest = max(state.lowest, threshold);
  if (phase <= COUNT_LISTED) {
    return begin_mass(row, phase == COUNT_LISTED && state.is_first == 1u);
  }
  return DONE;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let top_k = step[params.top_k + row];
  let top_p = bitcast<f32>(step[params.top_p + row]);
  let log_min_p = bitcast<f32>(step[params.log_min_p + row]);
  let is_start = (params.narrow_stages & STAGE_START) != 0u;
  if (params.skips_plain == 1u && top_k == 0u && top_p >= 1.0 && log_min_p <= -1.0e30) {
    if (lane == 0u && is_start) {
      limits[row] = vec4u(0u, 0u, NONE, bitcast<u32>(1.0));
    }
    return;
  }
  // Not all devices clear workgroup memory.
  if (lane == 0u) {
    atomicStore(&largest, 0u);
  }
  workgroupBarrier();
  if (is_start) {
    let num_blocks = params.chunks * LANES;
    var mine = 0u;
    for (var block = lane; block < num_blocks; block += WG) {
      mine = max(mine, blocks[row * num_blocks + block].x);
    }
    atomicMax(&largest, mine);
  }
  workgroupBarrier();
  if (lane == 0u) {
    let limit = limits[row];
    state.peak = order_key(bitcast<f32>(limit.x));
    state.lowest = limit.y;
    state.highest = limit.z;
    state.least_mass = bitcast<f32>(limit.w);
    if (is_start) {
      state.peak = atomicLoad(&largest);
      let lowest = order_key(key_value(state.peak) + bitcast<f32>(step[params.temperature + row]) * log_min_p);
      state.lowest = min(select(0u, lowest, log_min_p > -1.0e30), state.peak);
      state.highest = NONE;
      state.least_mass = 1.0;
    }
    var phase = COUNT_BLOCKS;
    if ((params.narrow_stages & STAGE_TOP_K) != 0u && top_k > 0u && top_k < params.vocab) {
      state.goal = f32(top_k);
      state.is_share = 0u;
      _ = span_above(max(state.lowest, 1u));
    } else {
      phase = begin_mass(row, false);
    }
    control = vec2u(phase, 0u);
  }
  // Each round narrows the span by a digit or goes on to the next phase.
  for (var round = 0u; round < 24u; round++) {
    let now = workgroupUniformLoad(&control);
    let phase = now.x;
    if (phase == DONE) {
      break;
    }
    if (lane == 0u) {
      atomicStore(&first_found, NONE);
    }
    if (phase == COUNT_LISTED || phase == MASS_LISTED) {
      sort_list(now.y, lane);
    } else if (phase != MASS_SORTED) {
      clear_slots(lane);
      if (phase == MASS_BLOCKS) {
        for (var slot = lane; slot < SLOTS; slot += WG) {
          atomicStore(&slot_blocks[slot], 0u);
        }
      }
      for (var i = lane; i < MAX_BATCHES; i += WG) {
        atomicStore(&batch_sizes[i], 0u);
      }
      if (lane == 0u) {
        atomicStore(&list_size, 0u);
      }
      workgroupBarrier();
      if (phase == COUNT_LOGITS || phase == MASS_LOGITS) {
        tally_logits(phase, row, lane);
      } else {
        tally_blocks(phase, row, lane);
      }
      workgroupBarrier();
    }
    let padded = power_of_two(now.y);
    let share = select(SLOTS / WG, (padded + WG - 1u) / WG, is_list(phase));
    let span = current_span(row);
    let end = min(lane * share + share, select(SLOTS, padded, is_list(phase)));
    var mine = vec2f(0.0);
    for (var i = lane * share; i < end; i++) {
      mine += value_at(phase, span, i);
    }
    let sums = sum_lanes(mine, lane, params.narrow_lanes);
    var found = Finding(NONE, 0.0, 0.0, state.goal, sums.total.x);
    if (state.is_share == 1u) {
      found.goal *= sums.total.x + select(slot_value(SLOTS, true), state.rest, is_list(phase));
    }
    // Some of what may be left out is kept for rounding.
    let left_out = 0.99 * max(1.0 - state.goal, 1.0e-8) * select(state.least_mass, sums.total.x, is_all_kept());
    var before = sums.before;
    for (var i = lane * share; i < end; i++) {
      let value = value_at(phase, span, i);
      if (phase == MASS_BLOCKS) {
        // Blocks that reach the slot's lower end have all but one logit below it at worst, or all where that was rounded.
        let most_below = (sums.total.y - before.y) * f32(CHUNK / LANES) * exp(-f32(SLOTS - i) / FINENESS);
        if (i > 0u && before.x + most_below <= left_out) {
          found.at = SLOTS - i;
          found.value = sums.total.y - before.y;
        }
      } else if (found.at == NONE && value.x > 0.0 && before.x + value.x >= found.goal) {
        found.at = i;
        found.before = before.x;
        found.value = value.x;
      }
      before += value;
    }
    atomicMin(&first_found, found.at);
    workgroupBarrier();
    if (found.at == atomicLoad(&first_found) && (found.at != NONE || lane == 0u)) {
      let next = next_phase(phase, row, found);
      control = vec2u(next, select(atomicLoad(&list_size), now.y, is_list(phase)));
    }
  }
  if (lane == 0u) {
    limits[row] = vec4u(bitcast<u32>(key_value(state.peak)), state.lowest, state.highest, bitcast<u32>(state.least_mass));
  }
}
