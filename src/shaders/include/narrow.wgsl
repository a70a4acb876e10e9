// The search of sample-narrow.wgsl: its state; what reads a row, the largest logits of its blocks or logits, into slots and a list; and the
// sorting of that list. The caller declares WG, a power of two and a multiple of a block's vectors, and the bindings `params`,
// `step`, `logits` and `blocks`. LOADS: how many an invocation has in flight, 1 or 4. LIST: keys that fit the list, a power of two.
#param LOADS: u32
#param LIST: u32
#param BITS: u32
#include "order.wgsl"
#include "blocks.wgsl"
#include "slots.wgsl"

const BATCH: u32 = 512u;
const MAX_BATCHES: u32 = 64u;
// Invocations that read one block together are GROUP apart, so that neighbours read neighbouring blocks.
const GROUP: u32 = WG / BLOCK_VECTORS;
const NONE: u32 = 0xffffffffu;
// Slots per factor e of mass: all together hold what top-p can tell apart.
const FINENESS: f32 = f32(SLOTS) / 32.0;

// What a round of the loop looks through, for top-k and for top-p: the largest logits of blocks; logits; the list, which it sorts; and
// for top-p the sorted list that top-k left.
const COUNT_BLOCKS: u32 = 0u;
const COUNT_LOGITS: u32 = 1u;
const COUNT_LISTED: u32 = 2u;
const MASS_BLOCKS: u32 = 3u;
const MASS_LOGITS: u32 = 4u;
const MASS_LISTED: u32 = 5u;
const MASS_SORTED: u32 = 6u;
const DONE: u32 = 7u;

struct State {
  // Order keys: of the largest logit, and of the lowest and the highest that are kept so far.
  peak: u32,
  lowest: u32,
  highest: u32,
  // The keys that can be the threshold: the lowest of them, and log2 of their number. Their slots begin at the highest.
  start: u32,
  size: u32,
  // The count or mass to be reached within them.
  goal: f32,
  // 1: the goal is a share of the mass of all that is kept, which is not known yet.
  is_share: u32,
  // The mass of what is kept below the span.
  rest: f32,
  // 1: no key above `start` has been ruled out or decided yet.
  is_first: u32,
  // 1: the span holds more logits than the list can take, by all that is known.
  is_long: u32,
  // The mass of what is kept is at least this, as it stands in the limits.
  least_mass: f32,
}

var<workgroup> state: State;
var<workgroup> slot_blocks: array<atomic<u32>, SLOTS>;
var<workgroup> list: array<u32, LIST>;
var<workgroup> list_size: atomic<u32>;
// Blocks to be read: batches take turns in two places, so that one barrier a batch is enough.
var<workgroup> batch: array<u32, 2u * BATCH>;
var<workgroup> batch_sizes: array<atomic<u32>, MAX_BATCHES>;

fn temperature_scale(row: u32) -> f32 {
  return 1.0 / max(bitcast<f32>(step[params.temperature + row]), 1.0e-30);
}

// What is looked up for each logit, out of the state: reading that again and again is not free.
struct Span {
  start: u32,
  shift: u32,
  num_slots: u32,
  lowest: u32,
  highest: u32,
  peak: f32,
  scale: f32,
}

fn current_span(row: u32) -> Span {
  let shift = state.size - min(state.size, BITS);
  let scale = temperature_scale(row);
  let peak = key_value(state.peak);
  return Span(state.start, shift, 1u << (state.size - shift), max(state.lowest, 1u), state.highest, peak, scale);
}

// The slot of a key from `start` on; SLOTS or more where it lies above.
fn slot_of(span: Span, key: u32) -> u32 {
  return span.num_slots - 1u - ((key - span.start) >> span.shift);
}

fn lowest_key(span: Span, slot: u32) -> u32 {
  return span.start + ((span.num_slots - 1u - slot) << span.shift);
}

fn mass_of(span: Span, key: u32) -> f32 {
  return exp(max(key_value(key) - span.peak, -1.0e30) * span.scale);
}

// Puts the largest logits of blocks into slots.
fn tally_blocks(phase: u32, row: u32, lane: u32) {
  let span = current_span(row);
  let num_blocks = params.chunks * LANES;
  for (var block = lane; block < num_blocks; block += WG) {
    let found = blocks[row * num_blocks + block];
    if (phase == COUNT_BLOCKS) {
      let slot = slot_of(span, found.x);
      if (found.x >= span.start && slot < SLOTS) {
        atomicAdd(&slot_low[slot], 1u);
      }
    } else if (found.x > 0u) {
      // The lowest slot first: what is left out is added up from small to large.
      let distance = min((span.peak - key_value(found.x)) * span.scale, 1.0e4);
      let slot = SLOTS - 1u - min(u32(distance * FINENESS), SLOTS - 1u);
      atomicAdd(&slot_blocks[slot], 1u);
      add_mass(slot, exp(-distance) * bitcast<f32>(found.y));
    }
  }
}

// `key` lies in the span, or below it where that counts.
fn tally_logit(phase: u32, span: Span, key: u32, lists: bool) {
  var slot = SLOTS;
  if (key >= span.start) {
    slot = slot_of(span, key);
    // A list that is full stays full: no need to queue for its counter.
    if (lists && atomicLoad(&list_size) <= LIST) {
      let at = atomicAdd(&list_size, 1u);
      if (at < LIST) {
        list[at] = key;
      }
    }
  }
  if (phase == MASS_LOGITS) {
    add_mass(slot, mass_of(span, key));
  } else {
    atomicAdd(&slot_low[slot], 1u);
  }
}

// Puts the kept logits from `start` on into the list and into slots, and where the whole mass is wanted, those below it into the last one.
// Blocks that do not reach so high are not read.
fn tally_logits(phase: u32, row: u32, lane: u32) {
  let num_blocks = params.chunks * LANES;
  var side = 0u;
  for (var first = 0u; first < num_blocks; first += BATCH) {
    let span = current_span(row);
    let low = max(select(span.start, span.lowest, state.is_share == 1u), 1u);
    for (var block = first + lane; block < min(first + BATCH, num_blocks); block += WG) {
      if (blocks[row * num_blocks + block].x >= low) {
        batch[side + atomicAdd(&batch_sizes[first / BATCH], 1u)] = block;
      }
    }
    workgroupBarrier();
    let lists = state.is_long == 0u;
    // Keys from `low` to the last that is kept in the span; 0, which is no logit's, is none of them.
    let size = select((1u << (state.size % 32u)) - 1u, NONE, state.size == 32u);
    let high = min(span.start + min(size, state.peak - span.start), span.highest);
    let count = atomicLoad(&batch_sizes[first / BATCH]);
    for (var i = lane % GROUP; i < count && high >= low; i += LOADS * GROUP) {
#unroll j LOADS
      let block$j = batch[side + min(i + $ju * GROUP, count - 1u)];
      let at$j = select(params.vocab, block_token(block$j, lane / GROUP), i + $ju * GROUP < count);
      let x$j = logits[(row * params.stride + min(at$j, params.vocab - 1u)) / 4u];
#end
#unroll j LOADS
      var keys$j = keys_until(x$j, at$j, params.vocab);
#end
      // Conditions that depend on the logits keep compilers from multiplying the code that follows.
      for (var load = i; load < min(count, i + LOADS * GROUP); load += GROUP) {
        while (any(keys0 - vec4u(low) <= vec4u(high - low))) {
          if (keys0.x - low <= high - low) {
            tally_logit(phase, span, keys0.x, lists);
          }
          keys0 = vec4u(keys0.yzw, 0u);
        }
#if LOADS > 1
        keys0 = keys1;
        keys1 = keys2;
        keys2 = keys3;
#endif
      }
    }
    side = BATCH - side;
  }
}

fn power_of_two(count: u32) -> u32 {
  return 1u << (32u - countLeadingZeros(max(count, 1u) - 1u));
}

// Sorts the first `count` keys of the list, the highest first, with zeros behind them.
fn sort_list(count: u32, lane: u32) {
  let padded = power_of_two(count);
  for (var i = count + lane; i < padded; i += WG) {
    list[i] = 0u;
  }
  for (var size = 2u; size <= padded; size *= 2u) {
    for (var stride = size / 2u; stride > 0u; stride /= 2u) {
      workgroupBarrier();
      for (var i = lane; i < padded / 2u; i += WG) {
        let at = 2u * i - (i & (stride - 1u));
        let a = list[at];
        let b = list[at + stride];
        if ((a < b) == ((at & size) == 0u)) {
          list[at] = b;
          list[at + stride] = a;
        }
      }
    }
  }
  workgroupBarrier();
}
