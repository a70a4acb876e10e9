// Sum over a workgroup that is no larger than the device's smallest subgroup: no barrier, no workgroup memory.
// The same function as in reduce.wgsl.
#param SUBGROUPS: flag
enable subgroups;
diagnostic(off, subgroup_uniformity);

fn workgroup_sum(value: f32, lane: u32, subgroup_width: u32) -> f32 {
  return subgroupAdd(value);
}
