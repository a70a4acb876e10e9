/**
 * What of a model and its settings decides which kernels it needs, as far as the check of a device goes.
 *
 * Owns the guess at formats, which are known for certain only when weights are read. Next: `self-check.ts`.
 */
import type { EngineConfig } from '../../config/server-config.ts';
import type { ModelSpec } from '../models/spec.ts';
import type { QuantisedFormat } from '../ops/tensor.ts';

export interface CheckedModel {
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEps: number;
  readonly blockSize: 8 | 16 | 32;
  /** f16 stands for all formats that are not f32: it is the one with a capability of its own. */
  readonly kvFormat: 'f16' | 'f32';
  /** Whether the weights are f16 for certain. */
  readonly hasF16Weights: boolean;
  /** Integer weights that are multiplied with bytes; null = none are. */
  readonly dp4a: QuantisedFormat | null;
}

/** The model as the check sees it. */
export function checkedModel(spec: ModelSpec, config: EngineConfig): CheckedModel {
  const { hidden, heads, kvHeads, headDim, normEps } = spec;
  const { kvCacheDtype, dtype, quantization, intActivations, blockSize } = config;
  const isF32 = kvCacheDtype === 'float32' || (kvCacheDtype === 'auto' && dtype === 'float32');
  return {
    ...{ hidden, heads, kvHeads, headDim, normEps, blockSize },
    kvFormat: isF32 ? 'f32' : 'f16',
    hasF16Weights: dtype === 'float16',
    dp4a: intActivations ? quantization : null,
  };
}
