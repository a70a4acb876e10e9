/**
 * Reads the settings of the table: a flag goes before a variable, a variable before the YAML file, the file before the default.
 *
 * Pure: arguments, environment and file come in as parameters. Must not know what a setting means.
 * Next: `status.ts`, which refuses what is not supported yet; `load-config.ts`, which makes the configuration from the values.
 */
import { ConfigError } from './config-error.ts';
import { parseFlags } from './flags.ts';
import type { Given } from './given.ts';
import { type Setting, variableOf } from './setting.ts';
import { allSettings, type SettingKey, type SettingValues, settings } from './settings.ts';
import { shellWords } from './shell-words.ts';
import { readYamlSettings } from './yaml-file.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What was read, and how each setting that is not at its default was given. */
export interface ParsedValues {
  readonly kind: 'values';
  readonly values: SettingValues;
  readonly given: ReadonlyMap<SettingKey, Given>;
}

export type Parsed = { readonly kind: 'help' } | { readonly kind: 'version' } | ParsedValues;

/** The content of a YAML file. Throws: ConfigError when there is none. */
export type ReadYaml = (path: string) => unknown;

/** More flags in one line; those of the command line go before them. */
export const EXTRA_ARGS_VARIABLE = 'VLLM_EXTRA_ARGS';

/**
 * The value of every setting, or which text was asked for instead.
 * Throws: ConfigError for unknown names, missing values and values that are not allowed.
 */
export function parseSettings(args: readonly string[], env: Environment, readYaml: ReadYaml): Parsed {
  const flags = parseFlags(args);
  if (typeof flags === 'string') return { kind: flags };
  const extra = parseFlags(shellWords(env[EXTRA_ARGS_VARIABLE] ?? '', EXTRA_ARGS_VARIABLE));
  if (typeof extra === 'string') return { kind: extra };
  const find = (key: SettingKey, setting: Setting<unknown>) =>
    flags.get(key) ?? extra.get(key) ?? fromEnvironment(setting, env);

  const configGiven = find('config', settings.config);
  const path = configGiven?.text.trim() ?? '';
  const yaml = path === '' ? new Map<SettingKey, Given>() : readYamlSettings(readYaml(path), path);

  const given = new Map<SettingKey, Given>();
  const entries = allSettings.map(([key, setting]) => {
    const found = find(key, setting) ?? yaml.get(key);
    if (found === undefined || isUnset(setting, found)) return [key, setting.default];
    given.set(key, found);
    return [key, readValue(setting, found)];
  });
  // The table gives each key its type; `fromEntries` cannot carry that.
  return { kind: 'values', values: Object.fromEntries(entries) as SettingValues, given };
}

function fromEnvironment(setting: Setting<unknown>, env: Environment): Given | undefined {
  const present = setting.env.map((name) => ({ name, isInverted: false, isOldName: false }));
  const old = setting.oldNames.map((one) => ({ ...one, name: variableOf(one.name), isOldName: true }));
  for (const variable of [...present, ...old]) {
    const text = env[variable.name];
    if (text !== undefined && text.trim() !== '') return { text, as: `${variable.name}=${text}`, ...variable };
  }
  return undefined;
}

function isUnset(setting: Setting<unknown>, given: Given): boolean {
  const word = given.text.trim().toLowerCase();
  if (word === '' || setting.unsetWords.includes(word)) return true;
  return (word === 'none' || word === 'null') && setting.default === null;
}

function readValue(setting: Setting<unknown>, given: Given): unknown {
  const { kind, plannedWords } = setting;
  const value = kind.read(given.text);
  if (value !== undefined) return given.isInverted ? !value : value;
  const isPlanned = plannedWords.includes(given.text.trim().toLowerCase());
  const problem = isPlanned ? 'not yet supported' : 'not allowed';
  throw new ConfigError(`${given.as} is ${problem}: expected ${kind.expects}`);
}
