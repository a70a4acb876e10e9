/** OLMoE: mixtures on all layers, and norms over the whole of q and of k. Source: transformers' modeling file. */
import { EngineError } from '../../types.ts';
import { booleanField, countField, type RawConfig } from '../config-fields.ts';
import type { ModelSpec } from '../spec.ts';
import { LAYER, llamaLike } from './llama-like.ts';

const EXPERT = `${LAYER}mlp.experts.{e}.`;

export function olmoe(config: RawConfig): ModelSpec {
  if (config.clip_qkv !== undefined && config.clip_qkv !== null) {
    throw new EngineError('load-failed', `config.json: clip_qkv ${config.clip_qkv} is not supported`);
  }
  const attention = booleanField(config, 'attention_bias', false);
  return llamaLike('OlmoeForCausalLM', config, {
    defaultEps: 1e-5,
    bias: { qkv: attention, o: attention, ffn: false },
    qkNorm: 'whole',
    moe: {
      spec: {
        numExperts: countField(config, 'num_experts', 64),
        topK: countField(config, 'num_experts_per_tok', 8),
        ffn: countField(config, 'intermediate_size'),
        router: 'softmax',
        renormalize: booleanField(config, 'norm_topk_prob', false),
        routedScale: 1,
        sharedFfn: null,
      },
      names: {
        router: `${LAYER}mlp.gate`,
        gate: `${EXPERT}gate_proj`,
        up: `${EXPERT}up_proj`,
        down: `${EXPERT}down_proj`,
      },
    },
  });
}
