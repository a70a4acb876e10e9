/** Rows of a table, one per id. Shapes: table [V, E], result [T, E]. */
export function embedReference(table: Float32Array, ids: readonly number[], columns: number): Float32Array {
  const out = new Float32Array(ids.length * columns);
  for (const [t, id] of ids.entries()) out.set(table.subarray(id * columns, (id + 1) * columns), t * columns);
  return out;
}
