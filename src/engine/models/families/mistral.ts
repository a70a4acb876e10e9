/** Mistral: LLaMA with a sliding window on all layers. A missing key means 4096, the class default; null means none. */
import { countField, type RawConfig } from '../config-fields.ts';
import type { ModelSpec } from '../spec.ts';
import { llamaLike } from './llama-like.ts';

export function mistral(config: RawConfig): ModelSpec {
  const window = config.sliding_window === null ? null : countField(config, 'sliding_window', 4096);
  return llamaLike('MistralForCausalLM', config, {
    windows: (numLayers) => Array.from({ length: numLayers }, () => window),
  });
}
