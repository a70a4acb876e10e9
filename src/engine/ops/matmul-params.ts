/** The parameters of a matrix kernel, as include/matmul.wgsl names them. Next: `matmul.ts`, `matmul-dp4a.ts`. */
import { struct } from '../gpu/layout.ts';

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
