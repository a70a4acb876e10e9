// What a kernel for many rows does with a sum. SPLIT: workgroups along z share the sum of one tile, each over part_chunks of k;
// y is then scratch [parts, sets, rows, n], where set 1 is the second matrix's, and matmul-reduce.wgsl gives the outputs.
#param SPLIT: flag

fn finish_output(row: u32, output: u32, sum: f32, second_sum: f32, part: u32) {
#if SPLIT
#if GATED
  let at = (part * 2u * params.rows + row) * params.n + output;
  y[at + params.rows * params.n] = second_sum;
#else
  let at = (part * params.rows + row) * params.n + output;
#endif
  y[at] = sum;
#else
  write_output(row, output, sum, second_sum);
#endif
}
