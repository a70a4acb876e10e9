/**
 * RMS norm of q and k over their whole widths, in place in packed q, k, v rows. Norms over single heads belong to `rope-kv.ts`.
 * Shader: qk-norm.wgsl.
 */
import { struct } from '../gpu/layout.ts';
import { type OpContext, variant } from './context.ts';
import type { Tensor, Vector } from './tensor.ts';

const qkNormParams = struct('QkNormParams', { q_columns: 'u32', k_columns: 'u32', stride: 'u32', eps: 'f32' });

export interface QkNormArgs {
  /** Columns q | k | v. */
  readonly qkv: Tensor;
  /** Shapes: [columns of q]. */
  readonly q: Vector;
  /** Shapes: [columns of k]. */
  readonly k: Vector;
  readonly numTokens: number;
  readonly eps: number;
}

/** Records the norm. Mutates: qkv. */
export function recordQkNorm(context: OpContext, { qkv, q, k, numTokens, eps }: QkNormArgs): void {
  if (q.length + k.length > qkv.columns) throw new Error('qk norm: shapes differ');
  const { subgroups, software } = context;
  const params = { WG: software || q.length <= 512 ? 64 : 256, SUBGROUPS: subgroups && !software };
  context.recorder.dispatch(
    variant(context, 'qk-norm.wgsl', params, qkNormParams),
    { q_weight: q.buffer, k_weight: k.buffer, qkv: qkv.buffer },
    { q_columns: q.length, k_columns: k.length, stride: qkv.stride, eps },
    2,
    numTokens,
  );
}
