/** LLaMA 1 to 3 and everything published under its architecture name. */
import { booleanField, type RawConfig } from '../config-fields.ts';
import type { ModelSpec } from '../spec.ts';
import { llamaLike } from './llama-like.ts';

export function llama(config: RawConfig): ModelSpec {
  const attention = booleanField(config, 'attention_bias', false);
  return llamaLike('LlamaForCausalLM', config, {
    bias: { qkv: attention, o: attention, ffn: booleanField(config, 'mlp_bias', false) },
  });
}
