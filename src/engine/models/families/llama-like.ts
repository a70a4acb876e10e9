/**
 * What the LLaMA-shaped families share: pre-RMSNorm, separate q, k, v, half-split rope, gated feed-forward.
 *
 * A family below this is the few lines in which it differs. Source: transformers' modeling files of each family.
 */
import {
  activationField,
  booleanField,
  countField,
  numberField,
  type RawConfig,
  ropeFields,
  tokenIdsField,
} from '../config-fields.ts';
import type { ModelSpec, MoeNames, MoeSpec, TensorNames } from '../spec.ts';

/** In which points a family departs from LLaMA. */
export interface Departures {
  readonly defaultTheta?: number;
  readonly defaultEps?: number;
  readonly bias?: ModelSpec['bias'];
  readonly qkNorm?: ModelSpec['qkNorm'];
  /** Reach of each layer; null = everything. */
  readonly windows?: (numLayers: number) => readonly (number | null)[];
  readonly moe?: {
    readonly spec: MoeSpec;
    readonly names: MoeNames;
    /** Whether a layer is a mixture; all are unless said. */
    readonly on?: (layer: number) => boolean;
  };
}

/** How the names of a layer's tensors begin. */
export const LAYER = 'model.layers.{i}.';

const NAMES: TensorNames = {
  embedding: 'model.embed_tokens.weight',
  finalNorm: 'model.norm.weight',
  head: 'lm_head.weight',
  attentionNorm: `${LAYER}input_layernorm.weight`,
  q: `${LAYER}self_attn.q_proj`,
  k: `${LAYER}self_attn.k_proj`,
  v: `${LAYER}self_attn.v_proj`,
  o: `${LAYER}self_attn.o_proj`,
  ffnNorm: `${LAYER}post_attention_layernorm.weight`,
  gate: `${LAYER}mlp.gate_proj`,
  up: `${LAYER}mlp.up_proj`,
  down: `${LAYER}mlp.down_proj`,
};

/** Builds the spec of a LLaMA-shaped model. Throws: EngineError naming the field that is wrong. */
export function llamaLike(architecture: string, config: RawConfig, departures: Departures = {}): ModelSpec {
  const hidden = countField(config, 'hidden_size');
  const heads = countField(config, 'num_attention_heads');
  const numLayers = countField(config, 'num_hidden_layers');
  const headDim = countField(config, 'head_dim', hidden / heads);
  const rope = ropeFields(config, departures.defaultTheta ?? 10000);
  const windows = departures.windows?.(numLayers) ?? [];
  const qkNorm = departures.qkNorm ?? 'none';
  const { moe } = departures;
  const ffnOf = (layer: number) => (moe && (moe.on?.(layer) ?? true) ? 'moe' : 'dense');
  const names = { ...NAMES, ...(moe && { moe: moe.names }) };
  return {
    architecture,
    hidden,
    vocab: countField(config, 'vocab_size'),
    heads,
    kvHeads: countField(config, 'num_key_value_heads', heads),
    headDim,
    ffn: countField(config, 'intermediate_size'),
    moe: moe?.spec ?? null,
    layers: Array.from({ length: numLayers }, (_, i) => ({ window: windows[i] ?? null, rope: 0, ffn: ffnOf(i) })),
    ropes: [{ style: 'half', dims: headDim, ...rope }],
    normEps: numberField(config, 'rms_norm_eps', departures.defaultEps ?? 1e-6),
    activation: activationField(config, 'hidden_act'),
    bias: departures.bias ?? { qkv: false, o: false, ffn: false },
    qkNorm,
    attentionScale: headDim ** -0.5,
    tiedHead: booleanField(config, 'tie_word_embeddings', false),
    maxPositions: countField(config, 'max_position_embeddings', 2048),
    names:
      qkNorm !== 'none'
        ? { ...names, qNorm: `${LAYER}self_attn.q_norm.weight`, kNorm: `${LAYER}self_attn.k_norm.weight` }
        : names,
    ignoredTensors: [/rotary_emb\.(inv_freq|cos_cached|sin_cached)$/],
    bosTokenId: tokenIdsField(config, 'bos_token_id')[0] ?? null,
    eosTokenIds: tokenIdsField(config, 'eos_token_id'),
  };
}
