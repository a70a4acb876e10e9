// log_sums[r] = log sum exp(x[r]); records[first + r] gets the n most probable tokens and their logprobs x - log_sums[r]:
// the ids from word 2 on, the logprobs after them. Order: value descending, then id ascending, exact.
//
// All that are as good as the n-th best of any n or more tokens are candidates. The bests of the lanes' blocks give a first bound, by
// which the blocks are listed; the n-th of these bounds the tokens in them, which are listed in turn, and are mostly hardly more than n.
// A token's rank is the number of candidates before it. A list that overflows gives a better bound, and is made again.
//
// Bindings: step: the step's arrays; logits [S, stride] f32; stats [S, chunks] (max, sum of exp); blocks [S, chunks * LANES]
// (key, token), both of logprobs-blocks.wgsl; log_sums [S]; records [.., record_words]. One workgroup does one row.
#param WG: u32
#include "order.wgsl"
#include "blocks.wgsl"
#struct LogprobsParams

@group(0) @binding(0) var<uniform> params: LogprobsParams;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> blocks: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> log_sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> records: array<u32>;

const LIST: u32 = 384u;

// Candidates, and the best tokens of the blocks in which they may lie.
var<workgroup> list: array<vec2u, LIST>;
var<workgroup> tops: array<vec2u, LIST>;
var<workgroup> list_size: atomic<u32>;
var<workgroup> held: u32;
var<workgroup> sums: array<f32, WG>;
var<workgroup> bound: vec2u;

fn is_before(a: vec2u, b: vec2u) -> bool {
  return a.x > b.x || (a.x == b.x && a.y < b.y);
}

fn offer(candidate: vec2u) {
  if (candidate.x > 0u && !is_before(bound, candidate)) {
    let at = atomicAdd(&list_size, 1u);
    if (at < LIST) {
      list[at] = candidate;
    }
  }
}

fn rank_of(candidate: vec2u, count: u32) -> u32 {
  var rank = 0u;
  for (var i = 0u; i < count; i++) {
    rank += select(0u, 1u, is_before(list[i], candidate));
  }
  return rank;
}

// Raises the bound to the n-th of the list, and empties it.
fn tighten(count: u32, num_top: u32, lane: u32) {
  workgroupBarrier();
  for (var i = lane; i < count; i += WG) {
    if (list[i].x > 0u && rank_of(list[i], count) == num_top - 1u) {
      bound = list[i];
    }
  }
  if (lane == 0u) {
    atomicStore(&list_size, 0u);
  }
  workgroupBarrier();
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let wanted = bitcast<i32>(step[params.num_logprobs + row]);
  if (wanted < 0) {
    return;
  }
  let num_blocks = params.chunks * LANES;
  var mine = NOTHING;
  for (var block = lane; block < num_blocks; block += WG) {
    mine = better(mine, blocks[row * num_blocks + block]);
  }
  let peak = key_value(workgroup_best(mine, lane).x);
  var mass = 0.0;
  for (var chunk = lane; chunk < params.chunks; chunk += WG) {
    let part = stats[row * params.chunks + chunk];
    mass += part.y * exp(part.x - peak);
  }
  sums[lane] = mass;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < min(params.chunks, WG); i++) {
    total += sums[i];
  }
  let log_sum = peak + log(total);
  if (lane == 0u) {
    log_sums[row] = log_sum;
  }
  let num_top = u32(wanted);
  if (num_top == 0u) {
    return;
  }
  list[lane] = mine;
  if (lane == 0u) {
    bound = NOTHING;
  }
  // The lanes' bests are listed first, then blocks, then the tokens in them. One loop, since compilers take long for many barriers.
  var phase = 0u;
  var count = WG;
  var num_tops = 0u;
  loop {
    if (count <= LIST) {
      if (phase == 2u) {
        break;
      }
      if (phase == 1u) {
        num_tops = count;
        for (var i = lane; i < count; i += WG) {
          tops[i] = list[i];
        }
      }
      phase++;
    }
    tighten(min(count, LIST), num_top, lane);
    if (phase == 1u) {
      for (var block = lane; block < num_blocks; block += WG) {
        offer(blocks[row * num_blocks + block]);
      }
    } else {
      let lowest = max(bound.x, 1u);
      for (var i = lane; i < num_tops * BLOCK_VECTORS; i += WG) {
        let top = tops[i / BLOCK_VECTORS].y;
        var token = block_token(top / CHUNK * LANES + top / 4u % LANES, i % BLOCK_VECTORS);
        var keys = keys_until(logits[(row * params.stride + min(token, params.vocab - 1u)) / 4u], token, params.vocab);
        while (any(keys >= vec4u(lowest))) {
          offer(vec2u(keys.x, token));
          keys = vec4u(keys.yzw, 0u);
          token++;
        }
      }
    }
    workgroupBarrier();
    if (lane == 0u) {
      held = atomicLoad(&list_size);
    }
    count = workgroupUniformLoad(&held);
  }
  let ids = (params.first_record + row) * params.record_words + 2u;
  for (var i = lane; i < count; i += WG) {
    let rank = rank_of(list[i], count);
    if (rank < num_top) {
      records[ids + rank] = list[i].y;
      records[ids + num_top + rank] = bitcast<u32>(key_value(list[i].x) - log_sum);
    }
  }
  for (var rank = count + lane; rank < num_top; rank += WG) {
    records[ids + rank] = NO_ID;
    records[ids + num_top + rank] = 0u;
  }
}
