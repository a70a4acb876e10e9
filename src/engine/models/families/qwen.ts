/** Qwen2, Qwen2.5 and Qwen3: biases on q, k, v in the former, norms over q and k heads in the latter. */
import { booleanField, countField, numberField, type RawConfig } from '../config-fields.ts';
import type { ModelSpec } from '../spec.ts';
import { llamaLike } from './llama-like.ts';

/** Layers from `max_window_layers` on slide, if sliding is on at all; `layer_types` says it outright in newer files. */
function windows(config: RawConfig, numLayers: number): (number | null)[] {
  const slides = booleanField(config, 'use_sliding_window', false) && config.sliding_window !== null;
  const window = slides ? countField(config, 'sliding_window', 4096) : null;
  const types = Array.isArray(config.layer_types) ? config.layer_types : null;
  const first = numberField(config, 'max_window_layers', 28);
  return Array.from({ length: numLayers }, (_, i) =>
    (types ? types[i] === 'sliding_attention' : i >= first) ? window : null,
  );
}

export function qwen2(config: RawConfig): ModelSpec {
  return llamaLike('Qwen2ForCausalLM', config, {
    bias: { qkv: true, o: false, ffn: false },
    windows: (numLayers) => windows(config, numLayers),
  });
}

export function qwen3(config: RawConfig): ModelSpec {
  const attention = booleanField(config, 'attention_bias', false);
  return llamaLike(
    'Qwen3ForCausalLM',
    { head_dim: 128, ...config },
    {
      bias: { qkv: attention, o: attention, ffn: false },
      qkNorm: 'head',
      windows: (numLayers) => windows(config, numLayers),
    },
  );
}
