// Sum over the workgroup, for any subgroup size from 4 to 128 and without subgroups.
// The caller declares WG (a power of two) and passes `lane` = local_invocation_index; all invocations get the sum.
#param SUBGROUPS: flag
#if SUBGROUPS
enable subgroups;
diagnostic(off, subgroup_uniformity);
#endif

var<workgroup> reduce_scratch: array<f32, WG>;

#if SUBGROUPS
fn workgroup_sum(value: f32, lane: u32, subgroup_width: u32) -> f32 {
  let partial = subgroupAdd(value);
  if (lane % subgroup_width == 0u) {
    reduce_scratch[lane / subgroup_width] = partial;
  }
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < (WG + subgroup_width - 1u) / subgroup_width; i++) {
    total += reduce_scratch[i];
  }
  workgroupBarrier();
  return total;
}
#else
fn workgroup_sum(value: f32, lane: u32, subgroup_width: u32) -> f32 {
  reduce_scratch[lane] = value;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      reduce_scratch[lane] += reduce_scratch[lane + half];
    }
    workgroupBarrier();
  }
  let total = reduce_scratch[0];
  workgroupBarrier();
  return total;
}
#endif
