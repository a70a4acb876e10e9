// Sorts pairs (token, choice) by expert and then by token, and cuts each expert's run into tiles of at most tile_rows pairs:
// lists[0 .. pairs] = the sorted pairs, lists[tiles_at + 3 i ..] = tile i: (expert, where it starts in the sorted pairs, how many it has).
// Tiles that are left over have none.
//
// One workgroup does one expert and counts all of them for itself, because no workgroup can wait for another within a dispatch.
// Sorted by counting, so that the order does not depend on who comes first: the atomics only add up whole numbers.
// Bindings: ids [pairs] u32; lists [tiles_at + 3 tile_slots] u32.
#param WG: u32
#struct MoeAlignParams

@group(0) @binding(0) var<uniform> params: MoeAlignParams;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> lists: array<u32>;

const MAX_EXPERTS: u32 = 512u;
var<workgroup> counts: array<atomic<u32>, MAX_EXPERTS>;
var<workgroup> sums: array<vec2u, WG>;

fn tiles_of(count: u32) -> u32 {
  return (count + params.tile_rows - 1u) / params.tile_rows;
}

// The sum of what the lanes up to and with this one hold.
fn running_sum(mine: vec2u, lane: u32) -> vec2u {
  workgroupBarrier();
  sums[lane] = mine;
  workgroupBarrier();
  for (var reach = 1u; reach < WG; reach *= 2u) {
    var other = vec2u(0u);
    if (lane >= reach) {
      other = sums[lane - reach];
    }
    workgroupBarrier();
    sums[lane] += other;
    workgroupBarrier();
  }
  return sums[lane];
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let expert = group.x;
  // Spelled out, because the device may be told not to clear workgroup memory.
  for (var i = lane; i < params.experts; i += WG) {
    atomicStore(&counts[i], 0u);
  }
  workgroupBarrier();
  for (var i = lane; i < params.pairs; i += WG) {
    let id = ids[i];
    // The ids of a token whose logits are no numbers may be none at all.
    if (id < params.experts) {
      atomicAdd(&counts[id], 1u);
    }
  }
  workgroupBarrier();
  var before = vec2u(0u);
  for (var e = lane; e < expert; e += WG) {
    let count = atomicLoad(&counts[e]);
    before += vec2u(count, tiles_of(count));
  }
  running_sum(before, lane);
  let start = sums[WG - 1u].x;
  let first_tile = sums[WG - 1u].y;
  let count = atomicLoad(&counts[expert]);
  let num_tiles = tiles_of(count);
  for (var i = lane; i < num_tiles; i += WG) {
    let at = params.tiles_at + (first_tile + i) * 3u;
    let done = i * params.tile_rows;
    lists[at] = expert;
    lists[at + 1u] = start + done;
    lists[at + 2u] = min(params.tile_rows, count - done);
  }
  if (expert == params.experts - 1u) {
    for (var i = first_tile + num_tiles + lane; i < params.tile_slots; i += WG) {
      lists[params.tiles_at + i * 3u + 2u] = 0u;
    }
  }
  // Lanes take neighbouring strips, so that a lane's pairs follow those of the lanes before it.
  let strip = (params.pairs + WG - 1u) / WG;
  let end = min((lane + 1u) * strip, params.pairs);
  var own = 0u;
  for (var i = lane * strip; i < end; i++) {
    own += select(0u, 1u, ids[i] == expert);
  }
  var at = start + running_sum(vec2u(own, 0u), lane).x - own;
  for (var i = lane * strip; i < end; i++) {
    if (ids[i] == expert) {
      lists[at] = i;
      at++;
    }
  }
}
