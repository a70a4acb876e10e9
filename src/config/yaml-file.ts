/**
 * Settings from a YAML file: its keys are the names of flags, with dashes or underscores.
 *
 * Owns what YAML's types mean for a setting. Takes the parsed file, so that it needs no parser and no disk.
 * Next: `parse.ts`, which puts flags and variables above.
 */
import { ConfigError } from './config-error.ts';
import type { Given } from './given.ts';
import { nearestName, type Target, targetByName } from './names.ts';
import type { SettingKey } from './settings.ts';

/**
 * The values of the file. `path` is for messages alone.
 * Throws: ConfigError for unknown keys, keys that are given twice and values of the wrong shape.
 */
export function readYamlSettings(file: unknown, path: string): ReadonlyMap<SettingKey, Given> {
  // An empty file parses as null.
  if (file === null || file === undefined) return new Map();
  if (!isMapping(file)) throw new ConfigError(`${path} is not allowed: expected a mapping from settings to values`);
  const found = new Map<SettingKey, Given>();
  for (const [key, value] of Object.entries(file)) {
    const target = findTarget(key, path);
    if (value === null) continue;
    if (found.has(target.key)) throw new ConfigError(`${key} in ${path}: ${target.setting.name} is given twice`);
    const text = textOf(value, target, `${key} in ${path}`);
    found.set(target.key, {
      text,
      as: `${key}: ${text} in ${path}`,
      name: `${key} in ${path}`,
      isInverted: target.isInverted,
      isOldName: target.isOldName,
    });
  }
  return found;
}

function textOf(value: unknown, { setting }: Target, name: string): string {
  if (typeof value !== 'object') return String(value);
  if (setting.kind.isStructured) return JSON.stringify(value);
  const shape = Array.isArray(value) ? 'a list' : 'a mapping';
  throw new ConfigError(`${name}: ${shape} is not allowed: expected ${setting.kind.expects}`);
}

function findTarget(key: string, path: string): Target {
  const target = targetByName(key);
  if (target?.key === 'config') throw new ConfigError(`${key} in ${path} is not allowed: one file cannot name another`);
  if (target !== undefined) return target;
  const suggestion = nearestName(key);
  const hint = suggestion === null ? 'see --help' : `did you mean ${suggestion}?`;
  throw new ConfigError(`unknown setting ${key} in ${path}: ${hint}`);
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
