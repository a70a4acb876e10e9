/** The parameters of a matrix kernel, as include/matmul.wgsl names them. Next: `matmul.ts`, `matmul-dp4a.ts`. */
import { struct } from '../gpu/layout.ts';
import type { OpContext } from './context.ts';
import { formatCode, type Matrix } from './tensor.ts';

export const matmulParams = struct('MatmulParams', {
  rows: 'u32',
  n: 'u32',
  chunks: 'u32',
  x_row: 'u32',
  x_stride: 'u32',
  y_row: 'u32',
  y_stride: 'u32',
  y_column: 'u32',
  columns: 'u32',
  eps: 'f32',
});

/** What include/matmul-weights.wgsl must know of a matrix, besides how much of it is loaded at once. */
export function weightParams(context: OpContext, { format, groups }: Matrix) {
  return {
    FORMAT: formatCode(format),
    F16: context.f16 && format === 'f16',
    GROUP: groups?.size ?? 0,
    ZEROS: groups?.zeros ?? false,
  };
}
