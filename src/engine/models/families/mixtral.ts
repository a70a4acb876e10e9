/** Mixtral: Mistral whose feed-forward blocks are mixtures. Unlike there, a missing window means none. */
import { countField, type RawConfig } from '../config-fields.ts';
import type { ModelSpec } from '../spec.ts';
import { LAYER, llamaLike } from './llama-like.ts';

const EXPERT = `${LAYER}block_sparse_moe.experts.{e}.`;

export function mixtral(config: RawConfig): ModelSpec {
  const window = config.sliding_window ? countField(config, 'sliding_window') : null;
  return llamaLike('MixtralForCausalLM', config, {
    defaultTheta: 1e6,
    defaultEps: 1e-5,
    windows: (numLayers) => Array.from({ length: numLayers }, () => window),
    moe: {
      spec: {
        numExperts: countField(config, 'num_local_experts', 8),
        topK: countField(config, 'num_experts_per_tok', 2),
        ffn: countField(config, 'intermediate_size'),
        router: 'softmax',
        renormalize: true,
        routedScale: 1,
        sharedFfn: null,
      },
      names: {
        router: `${LAYER}block_sparse_moe.gate`,
        gate: `${EXPERT}w1`,
        up: `${EXPERT}w3`,
        down: `${EXPERT}w2`,
      },
    },
  });
}
