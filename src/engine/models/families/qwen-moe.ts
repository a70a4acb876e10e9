/**
 * Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B-A14B) and Qwen3-MoE: Qwen's attention over mixtures of experts; some layers may stay dense.
 *
 * The former has an expert that all tokens go through besides. Source: transformers' modeling files of each.
 */
import { booleanField, countField, numberField, type RawConfig } from '../config-fields.ts';
import type { ModelSpec, MoeNames, MoeSpec } from '../spec.ts';
import { LAYER, llamaLike } from './llama-like.ts';

const MLP = `${LAYER}mlp.`;

const NAMES: MoeNames = {
  router: `${MLP}gate`,
  gate: `${MLP}experts.{e}.gate_proj`,
  up: `${MLP}experts.{e}.up_proj`,
  down: `${MLP}experts.{e}.down_proj`,
};

const SHARED_NAMES: MoeNames['shared'] = {
  router: `${MLP}shared_expert_gate`,
  gate: `${MLP}shared_expert.gate_proj`,
  up: `${MLP}shared_expert.up_proj`,
  down: `${MLP}shared_expert.down_proj`,
};

function moeSpec(config: RawConfig, defaults: { experts: number; topK: number; ffn: number }): MoeSpec {
  return {
    // Newer files of Qwen3 say num_local_experts.
    numExperts: countField(config, 'num_experts', countField(config, 'num_local_experts', defaults.experts)),
    topK: countField(config, 'num_experts_per_tok', defaults.topK),
    ffn: countField(config, 'moe_intermediate_size', defaults.ffn),
    router: 'softmax',
    renormalize: booleanField(config, 'norm_topk_prob', false),
    routedScale: 1,
    sharedFfn: null,
  };
}

/** Every `decoder_sparse_step`th layer is a mixture, but for those that are named as dense. */
function isMixture(config: RawConfig): (layer: number) => boolean {
  const step = countField(config, 'decoder_sparse_step', 1);
  const dense: readonly unknown[] = Array.isArray(config.mlp_only_layers) ? config.mlp_only_layers : [];
  return (layer) => (layer + 1) % step === 0 && !dense.includes(layer);
}

/** `slides`: whether a layer has a window, if sliding is on at all and no `layer_types` says it outright. */
function windows(config: RawConfig, numLayers: number, slides: (layer: number) => boolean): (number | null)[] {
  const isOn = booleanField(config, 'use_sliding_window', false) && config.sliding_window !== null;
  const window = isOn ? countField(config, 'sliding_window', 4096) : null;
  const types = Array.isArray(config.layer_types) ? config.layer_types : null;
  return Array.from({ length: numLayers }, (_, i) =>
    (types ? types[i] === 'sliding_attention' : slides(i)) ? window : null,
  );
}

export function qwen2Moe(config: RawConfig): ModelSpec {
  const firstFull = numberField(config, 'max_window_layers', 28);
  const sharedFfn = countField(config, 'shared_expert_intermediate_size', 5632);
  return llamaLike('Qwen2MoeForCausalLM', config, {
    bias: { qkv: booleanField(config, 'qkv_bias', true), o: false, ffn: false },
    windows: (numLayers) => windows(config, numLayers, (i) => i % 2 === 0 && i < firstFull),
    moe: {
      spec: { ...moeSpec(config, { experts: 60, topK: 4, ffn: 1408 }), sharedFfn },
      names: { ...NAMES, ...(SHARED_NAMES && { shared: SHARED_NAMES }) },
      on: isMixture(config),
    },
  });
}

export function qwen3Moe(config: RawConfig): ModelSpec {
  const attention = booleanField(config, 'attention_bias', false);
  return llamaLike('Qwen3MoeForCausalLM', config, {
    bias: { qkv: attention, o: attention, ffn: false },
    qkNorm: 'head',
    windows: (numLayers) => windows(config, numLayers, () => true),
    moe: {
      spec: moeSpec(config, { experts: 128, topK: 8, ffn: 768 }),
      names: NAMES,
      on: isMixture(config),
    },
  });
}
