import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSpec, specFromConfig } from '../../../src/engine/models/registry.ts';
import { fixtureFolder } from '../../helpers/model.ts';

const base = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  vocab_size: 100,
};
const spec = (more: Record<string, unknown>) => specFromConfig({ ...base, ...more });

describe('registry', () => {
  const dense = ['tiny-llama', 'tiny-llama-biased', 'tiny-mistral', 'tiny-qwen2', 'tiny-qwen3'];
  for (const name of [...dense, 'tiny-mixtral', 'tiny-qwen2-moe', 'tiny-qwen3-moe', 'tiny-olmoe']) {
    test(`${name}: the old and the new dialect of config.json say the same`, () => {
      const read = (file: string) => JSON.parse(readFileSync(join(fixtureFolder(name), file), 'utf8'));
      expect(specFromConfig(read('config-other-dialect.json'))).toEqual(specFromConfig(read('config.json')));
    });
  }

  test('end-of-sequence ids of both files count', async () => {
    const { eosTokenIds } = await readSpec(fixtureFolder('tiny-llama'));
    expect(eosTokenIds).toContain(302);
  });

  test('an unknown architecture lists the supported ones', () => {
    expect(() => spec({ architectures: ['FooForCausalLM'] })).toThrow(
      /FooForCausalLM is not supported; supported are LlamaForCausalLM, .*Qwen3ForCausalLM/,
    );
    expect(() => specFromConfig({})).toThrow(/architecture none/);
  });

  test('missing keys mean the class defaults', () => {
    expect(spec({}).kvHeads).toBe(4);
    expect(spec({}).headDim).toBe(16);
    expect(spec({}).normEps).toBe(1e-6);
    expect(spec({ architectures: ['MistralForCausalLM'] }).layers[0]?.window).toBe(4096);
    expect(spec({ architectures: ['MistralForCausalLM'], sliding_window: null }).layers[0]?.window).toBeNull();
    expect(spec({ architectures: ['Qwen3ForCausalLM'] }).headDim).toBe(128);
  });

  test('Qwen2 slides only where it is told to', () => {
    const qwen = { architectures: ['Qwen2ForCausalLM'], sliding_window: 8, max_window_layers: 1 };
    const windows = (more: Record<string, unknown>) => spec({ ...qwen, ...more }).layers.map((layer) => layer.window);
    expect(windows({})).toEqual([null, null, null]);
    expect(windows({ use_sliding_window: true })).toEqual([null, 8, 8]);
    const types = ['sliding_attention', 'full_attention', 'full_attention'];
    expect(windows({ use_sliding_window: true, layer_types: types })).toEqual([8, null, null]);
  });

  test('mixtures of experts: defaults of each family, and which layers stay dense', () => {
    const mixtral = spec({ architectures: ['MixtralForCausalLM'] });
    expect(mixtral.moe).toMatchObject({ numExperts: 8, topK: 2, ffn: 128, renormalize: true, sharedFfn: null });
    expect(mixtral.layers[0]?.window).toBeNull();
    expect(spec({ architectures: ['MixtralForCausalLM'], sliding_window: 8 }).layers[0]?.window).toBe(8);
    const qwen2 = { architectures: ['Qwen2MoeForCausalLM'] };
    expect(spec(qwen2).moe).toMatchObject({ numExperts: 60, topK: 4, ffn: 1408, renormalize: false, sharedFfn: 5632 });
    expect(spec(qwen2).bias.qkv).toBe(true);
    const slides = spec({ ...qwen2, use_sliding_window: true, sliding_window: 8, max_window_layers: 2 }).layers;
    expect(slides.map((layer) => layer.window)).toEqual([8, null, null]);
    const qwen3 = { architectures: ['Qwen3MoeForCausalLM'] };
    expect(spec(qwen3).moe).toMatchObject({ numExperts: 128, topK: 8, ffn: 768, renormalize: false, sharedFfn: null });
    const ffns = (more: Record<string, unknown>) => spec({ ...qwen3, ...more }).layers.map((layer) => layer.ffn);
    expect(ffns({ decoder_sparse_step: 2 })).toEqual(['dense', 'moe', 'dense']);
    expect(ffns({ mlp_only_layers: [2] })).toEqual(['moe', 'moe', 'dense']);
    const olmoe = { architectures: ['OlmoeForCausalLM'] };
    expect(spec(olmoe).moe).toMatchObject({ numExperts: 64, topK: 8, ffn: 128, renormalize: false, sharedFfn: null });
    expect(spec(olmoe).qkNorm).toBe('whole');
    expect(() => spec({ ...olmoe, clip_qkv: 8 })).toThrow(/clip_qkv/);
    expect(() => spec({ ...qwen3, num_experts: 600 })).toThrow(/8 of 600 experts are not supported/);
    expect(() => spec({ ...qwen3, num_experts: 4 })).toThrow(/8 of 4 experts/);
  });

  test('biases are where each family has them', () => {
    expect(spec({ attention_bias: true }).bias).toEqual({ qkv: true, o: true, ffn: false });
    expect(spec({ architectures: ['Qwen2ForCausalLM'] }).bias).toEqual({ qkv: true, o: false, ffn: false });
  });

  test('rope scaling: the original length at the top wins, unknown kinds are refused', () => {
    const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const scaling = spec({ rope_scaling: llama3, original_max_position_embeddings: 8192 }).ropes[0]?.scaling;
    expect(scaling).toMatchObject({ kind: 'llama3', originalMaxPositions: 8192 });
    expect(() => spec({ rope_scaling: { rope_type: 'dynamic', factor: 2 } })).toThrow(/rope scaling "dynamic"/);
    const yarn = spec({ rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32 } });
    expect(yarn.ropes[0]?.scaling).toMatchObject({ kind: 'yarn', attentionFactor: 0.1 * Math.log(4) + 1 });
  });

  const faults: [string, Record<string, unknown>, RegExp][] = [
    ['a missing size', { hidden_size: undefined }, /hidden_size/],
    ['a size of another type', { vocab_size: '100' }, /vocab_size is "100"/],
    ['heads that do not divide', { num_key_value_heads: 3 }, /heads must divide/],
    ['an unknown activation', { hidden_act: 'relu9' }, /hidden_act is "relu9"/],
    ['a quantized checkpoint', { quantization_config: {} }, /quantized checkpoints/],
    ['a head size no kernel takes', { head_dim: 20 }, /multiple of 8/],
  ];
  for (const [what, more, message] of faults) {
    test(`${what} is an error that names the field`, () => {
      expect(() => spec(more)).toThrow(message);
    });
  }
});
