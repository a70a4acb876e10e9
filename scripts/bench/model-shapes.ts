/**
 * Real models by their shapes alone: the fields of their published `config.json` that decide how much work a step is.
 *
 * Owns the list and the specs made of it; weights are made up by `synthetic-model.ts`. Source: each checkpoint's `config.json`.
 * Next: `roofline.ts` (how many bytes and operations a step of such a model needs).
 */
import type { RawConfig } from '../../src/engine/models/config-fields.ts';
import { specFromConfig } from '../../src/engine/models/registry.ts';
import type { ModelSpec } from '../../src/engine/models/spec.ts';

const LLAMA3_ROPE = { rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4 };
const LLAMA3 = {
  ...{ architectures: ['LlamaForCausalLM'], hidden_act: 'silu', rms_norm_eps: 1e-5, rope_theta: 500_000 },
  ...{ vocab_size: 128_256, num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 131_072 },
};

const MIXTRAL = {
  ...{ architectures: ['MixtralForCausalLM'], hidden_act: 'silu', rms_norm_eps: 1e-5, rope_theta: 1_000_000 },
  ...{ vocab_size: 32_000, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32 },
  ...{ num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 32_768, tie_word_embeddings: false },
  ...{ num_local_experts: 8, num_experts_per_tok: 2 },
};

const CONFIGS = {
  /** The bundled model. */
  demo: {
    ...{ architectures: ['LlamaForCausalLM'], hidden_act: 'silu', rms_norm_eps: 1e-5, rope_theta: 10_000 },
    ...{ vocab_size: 768, hidden_size: 256, intermediate_size: 512, num_hidden_layers: 5, head_dim: 64 },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 1024, tie_word_embeddings: true },
  },
  /** HuggingFaceTB/SmolLM2-135M. */
  'smollm-135m': {
    ...{ architectures: ['LlamaForCausalLM'], hidden_act: 'silu', rms_norm_eps: 1e-5, rope_theta: 100_000 },
    ...{ vocab_size: 49_152, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30, head_dim: 64 },
    ...{ num_attention_heads: 9, num_key_value_heads: 3, max_position_embeddings: 8192, tie_word_embeddings: true },
  },
  /** Qwen/Qwen3-0.6B. */
  'qwen3-0.6b': {
    ...{ architectures: ['Qwen3ForCausalLM'], hidden_act: 'silu', rms_norm_eps: 1e-6, rope_theta: 1_000_000 },
    ...{ vocab_size: 151_936, hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 28, head_dim: 128 },
    ...{ num_attention_heads: 16, num_key_value_heads: 8, max_position_embeddings: 40_960, tie_word_embeddings: true },
  },
  /** meta-llama/Llama-3.2-1B. */
  'llama-3.2-1b': {
    ...LLAMA3,
    ...{ hidden_size: 2048, intermediate_size: 8192, num_hidden_layers: 16, head_dim: 64, tie_word_embeddings: true },
    rope_scaling: { ...LLAMA3_ROPE, factor: 32, original_max_position_embeddings: 8192 },
  },
  /** meta-llama/Llama-3.1-8B. */
  'llama-3.1-8b': {
    ...LLAMA3,
    ...{
      hidden_size: 4096,
      intermediate_size: 14_336,
      num_hidden_layers: 32,
      head_dim: 128,
      tie_word_embeddings: false,
    },
    rope_scaling: { ...LLAMA3_ROPE, factor: 8, original_max_position_embeddings: 8192 },
  },
  /** mistralai/Mixtral-8x7B-v0.1. */
  'mixtral-8x7b': MIXTRAL,
  /** The same with two of its layers, where all 87 GiB do not fit: what a layer costs, and its share of the roofline, are those of the whole. */
  'mixtral-8x7b-2-layers': { ...MIXTRAL, num_hidden_layers: 2 },
  /** A sixteenth of its width with eight layers: what a CPU can hold and end. */
  'mixtral-mini': {
    ...MIXTRAL,
    ...{ vocab_size: 8192, hidden_size: 256, intermediate_size: 896, num_hidden_layers: 8, num_attention_heads: 4 },
    num_key_value_heads: 2,
  },
  /** Qwen/Qwen3-30B-A3B. */
  'qwen3-30b-a3b': {
    ...{ architectures: ['Qwen3MoeForCausalLM'], hidden_act: 'silu', rms_norm_eps: 1e-6, rope_theta: 1_000_000 },
    ...{ vocab_size: 151_936, hidden_size: 2048, intermediate_size: 6144, num_hidden_layers: 48, head_dim: 128 },
    ...{ num_attention_heads: 32, num_key_value_heads: 4, max_position_embeddings: 40_960, tie_word_embeddings: false },
    ...{ num_experts: 128, num_experts_per_tok: 8, moe_intermediate_size: 768, norm_topk_prob: true },
  },
} satisfies Record<string, RawConfig>;

export type ShapeName = keyof typeof CONFIGS;

export const SHAPE_NAMES = Object.keys(CONFIGS) as ShapeName[];

export function isShapeName(text: string): text is ShapeName {
  return Object.hasOwn(CONFIGS, text);
}

/** The spec of a model, as its checkpoint's configuration would give it. */
export function shapeSpec(name: ShapeName): ModelSpec {
  return specFromConfig(CONFIGS[name]);
}
