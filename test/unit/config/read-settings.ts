/** Reading settings in tests: values, refusals and notices from arguments, variables and YAML text. */
import { ConfigError } from '../../../src/config/config-error.ts';
import { type Loaded, loadConfig } from '../../../src/config/load-config.ts';
import { type Environment, type ParsedValues, parseSettings } from '../../../src/config/parse.ts';
import type { SettingValues } from '../../../src/config/settings.ts';
import { parseYaml } from '../../../src/runtime/yaml.ts';

export interface Sources {
  readonly args?: readonly string[];
  readonly env?: Environment;
  /** By path. */
  readonly files?: Readonly<Record<string, string>>;
}

export function parsed({ args = [], env = {}, files = {} }: Sources): ParsedValues {
  const result = parseSettings(args, env, (path) => parseYaml(files[path] ?? ''));
  if (result.kind !== 'values') throw new Error(`expected values, got ${result.kind}`);
  return result;
}

export function valuesOf(args: readonly string[], env: Environment = {}): SettingValues {
  return parsed({ args, env }).values;
}

/** The values when `text` is the configuration file. */
export function valuesOfYaml(text: string, sources: Sources = {}): SettingValues {
  const args = [...(sources.args ?? []), '--config', 'c.yaml'];
  return parsed({ ...sources, args, files: { 'c.yaml': text } }).values;
}

export function load({ args = [], env = {}, files = {} }: Sources): Loaded {
  return loadConfig({ args, env, homeFolder: '/home/u', readText: (path) => files[path] ?? null, parseYaml });
}

/** The message with which `action` refuses. */
export function refusalOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

export function refusal(args: readonly string[], env: Environment = {}): string {
  return refusalOf(() => load({ args, env }));
}

export function noticesOf(sources: Sources): readonly string[] {
  const loaded = load(sources);
  if (loaded.kind !== 'config') throw new Error(`expected a configuration, got ${loaded.kind}`);
  return loaded.notices;
}
