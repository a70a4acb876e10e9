/**
 * From a checkpoint's folder to a {@link ModelSpec}: architecture name -> family.
 *
 * Owns the list of supported architectures and the merge of `generation_config.json`'s end-of-sequence ids.
 * Next: `families/*.ts`, `spec.ts`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_EXPERTS, MAX_TOP_K } from '../ops/moe-route.ts';
import { EngineError } from '../types.ts';
import { type RawConfig, tokenIdsField } from './config-fields.ts';
import { llama } from './families/llama.ts';
import { mistral } from './families/mistral.ts';
import { mixtral } from './families/mixtral.ts';
import { olmoe } from './families/olmoe.ts';
import { qwen2, qwen3 } from './families/qwen.ts';
import { qwen2Moe, qwen3Moe } from './families/qwen-moe.ts';
import type { ModelSpec } from './spec.ts';

const FAMILIES: Readonly<Record<string, (config: RawConfig) => ModelSpec>> = {
  LlamaForCausalLM: llama,
  LLaMAForCausalLM: llama,
  MistralForCausalLM: mistral,
  MixtralForCausalLM: mixtral,
  OlmoeForCausalLM: olmoe,
  Qwen2ForCausalLM: qwen2,
  Qwen2MoeForCausalLM: qwen2Moe,
  Qwen3ForCausalLM: qwen3,
  Qwen3MoeForCausalLM: qwen3Moe,
};

/** Turns a parsed `config.json` into a spec. Throws: EngineError that lists what is supported. */
export function specFromConfig(config: RawConfig): ModelSpec {
  const architecture = Array.isArray(config.architectures) ? String(config.architectures[0]) : 'none';
  const family = FAMILIES[architecture];
  if (!family) {
    const supported = Object.keys(FAMILIES).join(', ');
    throw new EngineError(
      'load-failed',
      `config.json: architecture ${architecture} is not supported; supported are ${supported}`,
    );
  }
  if (config.quantization_config) {
    throw new EngineError(
      'load-failed',
      'config.json: quantized checkpoints (quantization_config) are not supported yet',
    );
  }
  const spec = family(config);
  if (spec.heads % spec.kvHeads !== 0 || spec.headDim % 8 !== 0 || spec.headDim > 256) {
    throw new EngineError(
      'load-failed',
      `config.json: ${spec.heads} heads over ${spec.kvHeads} of size ${spec.headDim} are not supported: heads must divide, the size be a multiple of 8 up to 256`,
    );
  }
  const { moe } = spec;
  if (moe && (moe.numExperts > MAX_EXPERTS || moe.topK > MAX_TOP_K || moe.topK > moe.numExperts)) {
    throw new EngineError(
      'load-failed',
      `config.json: ${moe.topK} of ${moe.numExperts} experts are not supported: at most ${MAX_TOP_K} of ${MAX_EXPERTS}`,
    );
  }
  return spec;
}

/** Reads a folder's configuration. Stops at every end-of-sequence id that either file names. */
export async function readSpec(folder: string): Promise<ModelSpec> {
  const spec = specFromConfig(await readJson(join(folder, 'config.json'), true));
  const generation = await readJson(join(folder, 'generation_config.json'), false);
  const eosTokenIds = [...new Set([...spec.eosTokenIds, ...tokenIdsField(generation, 'eos_token_id')])];
  return { ...spec, eosTokenIds };
}

async function readJson(path: string, required: boolean): Promise<RawConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!required) return {};
    throw new EngineError('load-failed', `${path} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  try {
    return JSON.parse(text) as RawConfig;
  } catch {
    throw new EngineError('load-failed', `${path} is not JSON`);
  }
}
