/**
 * Gathers the embedding rows of the step's tokens from a packed, possibly sharded table. Shader: embed.wgsl.
 */
import type { GpuBuffer } from '../gpu/buffer.ts';
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import { CHUNK, formatCode, isQuantised, type Matrix, paddedColumns, type StepArray, type Tensor } from './tensor.ts';

const embedParams = struct('EmbedParams', {
  token_ids: 'u32',
  first_row: 'u32',
  rows: 'u32',
  chunks: 'u32',
  y_stride: 'u32',
});

const WG = 32;

export interface EmbedArgs {
  readonly table: Matrix;
  readonly tokenIds: StepArray;
  readonly numTokens: number;
  /** What `recordSample` keeps: the newest token of each slot. */
  readonly nextTokens: GpuBuffer;
  readonly y: Tensor;
}

/**
 * Records y[t] = table[tokenIds[t]]; an id with the highest bit set is the token of the slot that the other bits name.
 * Shapes: table [V, E], y [T, E]. Ids beyond the table leave their row unchanged.
 */
export function recordEmbed(context: OpContext, args: EmbedArgs): void {
  const { table, y, numTokens } = args;
  if (isQuantised(table.format)) throw new Error('embed: a quantised table');
  const chunks = paddedColumns(table.columns) / CHUNK;
  const kernel = variant(
    context,
    'embed.wgsl',
    { WG, FORMAT: formatCode(table.format), F16: context.f16 && table.format === 'f16' },
    embedParams,
  );
  for (const shard of table.shards) {
    context.recorder.dispatch(
      kernel,
      { table: shard.buffer, step: context.recorder.arena, next_tokens: args.nextTokens, y: y.buffer },
      { token_ids: args.tokenIds, first_row: shard.firstRow, rows: shard.rows, chunks, y_stride: y.stride / 4 },
      Math.ceil(chunks / WG),
      numTokens,
    );
  }
}
