/**
 * Reading a checkpoint's `config.json` without trusting it: typed access with the field's name in every error.
 *
 * Owns the two dialects of rope settings (top-level `rope_theta` and `rope_scaling`; `rope_parameters`) and no family's
 * knowledge. Next: `families/*.ts`.
 */
import { EngineError } from '../types.ts';
import type { RopeScaling } from './spec.ts';

export type RawConfig = Readonly<Record<string, unknown>>;

function fault(message: string): EngineError {
  return new EngineError('load-failed', `config.json: ${message}`);
}

/** A number field. Throws: EngineError when it is missing without a fallback, or no number. */
export function numberField(config: RawConfig, name: string, fallback?: number): number {
  const value = config[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw fault(`${name} is ${JSON.stringify(value)}, a number is needed`);
  }
  return value;
}

/** A count: an integer of at least one. */
export function countField(config: RawConfig, name: string, fallback?: number): number {
  const value = numberField(config, name, fallback);
  if (!Number.isInteger(value) || value < 1) throw fault(`${name} is ${value}, a positive integer is needed`);
  return value;
}

export function booleanField(config: RawConfig, name: string, fallback: boolean): boolean {
  const value = config[name] ?? fallback;
  if (typeof value !== 'boolean') throw fault(`${name} is ${JSON.stringify(value)}, true or false is needed`);
  return value;
}

/** Token ids written as a number, a list or null. */
export function tokenIdsField(config: RawConfig, name: string): number[] {
  const value = config[name];
  const list = Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
  return list.filter((id): id is number => Number.isInteger(id));
}

/** The activation's name as the engine calls it. Source: transformers' ACT2FN. */
export function activationField(config: RawConfig, name: string): 'silu' | 'gelu-tanh' | 'gelu' {
  const value = config[name] ?? 'silu';
  if (value === 'silu' || value === 'swish') return 'silu';
  if (value === 'gelu' || value === 'gelu_python') return 'gelu';
  if (value === 'gelu_new' || value === 'gelu_pytorch_tanh' || value === 'gelu_fast') return 'gelu-tanh';
  throw fault(`${name} is ${JSON.stringify(value)}; supported are silu, gelu and gelu_pytorch_tanh`);
}

/** Theta and scaling from either dialect. */
export function ropeFields(config: RawConfig, defaultTheta: number): { theta: number; scaling: RopeScaling } {
  const parameters = (config.rope_parameters ?? config.rope_scaling ?? {}) as RawConfig;
  const theta = numberField({ ...config, ...parameters }, 'rope_theta', defaultTheta);
  return { theta, scaling: ropeScaling(config, parameters) };
}

function ropeScaling(config: RawConfig, parameters: RawConfig): RopeScaling {
  const kind = parameters.rope_type ?? parameters.type ?? 'default';
  if (kind === 'default') return { kind: 'default' };
  if (kind === 'linear') return { kind: 'linear', factor: numberField(parameters, 'factor') };
  /** The field at the top beats the one inside; without either it is the model's whole length. */
  const originalMaxPositions = () => {
    const name = 'original_max_position_embeddings';
    if (config[name]) return numberField(config, name);
    return parameters[name] ? numberField(parameters, name) : numberField(config, 'max_position_embeddings');
  };
  if (kind === 'llama3') {
    return {
      kind: 'llama3',
      factor: numberField(parameters, 'factor'),
      lowFreqFactor: numberField(parameters, 'low_freq_factor'),
      highFreqFactor: numberField(parameters, 'high_freq_factor'),
      originalMaxPositions: originalMaxPositions(),
    };
  }
  if (kind === 'yarn') {
    const factor = numberField(parameters, 'factor');
    return {
      kind: 'yarn',
      factor,
      betaFast: numberField(parameters, 'beta_fast', 32),
      betaSlow: numberField(parameters, 'beta_slow', 1),
      originalMaxPositions: originalMaxPositions(),
      attentionFactor: yarnAttentionFactor(parameters, factor),
      truncate: booleanField(parameters, 'truncate', true),
    };
  }
  throw fault(
    `rope scaling ${JSON.stringify(kind)} is not supported yet; supported are default, linear, llama3 and yarn`,
  );
}

/** Source: transformers `_compute_yarn_parameters`. */
function yarnAttentionFactor(parameters: RawConfig, factor: number): number {
  if (typeof parameters.attention_factor === 'number') return parameters.attention_factor;
  const scale = (multiplier: number) => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1);
  const { mscale, mscale_all_dim: all } = parameters;
  if (typeof mscale === 'number' && typeof all === 'number' && mscale && all) return scale(mscale) / scale(all);
  return scale(1);
}
