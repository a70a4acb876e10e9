// Maximum over the workgroup, for any subgroup size. The caller declares WG; all invocations get the result.
enable subgroups;
diagnostic(off, subgroup_uniformity);

var<workgroup> max_scratch: array<u32, WG>;

fn workgroup_max(value: u32, lane: u32, subgroup_width: u32) -> u32 {
  let partial = subgroupMax(value);
  if (lane % subgroup_width == 0u) {
    max_scratch[lane / subgroup_width] = partial;
  }
  workgroupBarrier();
  var largest = 0u;
  for (var i = 0u; i < (WG + subgroup_width - 1u) / subgroup_width; i++) {
    largest = max(largest, max_scratch[i]);
  }
  return largest;
}
