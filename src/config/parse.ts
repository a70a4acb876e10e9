/**
 * Reads the settings of the table from flags and environment: a flag goes before a variable, a variable before the default.
 *
 * Owns the command line's grammar (`--flag value`, `--flag=value`, `--switch`, `--no-switch`, one model without a flag).
 * Pure: arguments and environment are parameters. Must not know what a setting means.
 * Next: `load-config.ts`, which makes the configuration from the values.
 */
import { ConfigError } from './config-error.ts';
import { nearest } from './nearest.ts';
import type { Setting } from './setting.ts';
import { type SettingKey, type SettingValues, settings } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export type Parsed =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'values'; readonly values: SettingValues };

/** A value's text and how the user gave it, for messages. */
interface Given {
  readonly text: string;
  readonly as: string;
}

/**
 * The value of every setting, or which text was asked for instead.
 * Throws: ConfigError for unknown flags, missing values and values that are not allowed.
 */
export function parseSettings(args: readonly string[], env: Environment): Parsed {
  const flags = parseFlags(args);
  if (flags === 'help' || flags === 'version') return { kind: flags };
  const entries = allSettings.map(([key, setting]) => {
    const given = flags.get(key) ?? fromEnvironment(setting, env);
    return [key, given === null ? setting.default : readValue(setting, given)];
  });
  // The table gives each key its type; `fromEntries` cannot carry that.
  return { kind: 'values', values: Object.fromEntries(entries) as SettingValues };
}

const allSettings = Object.entries(settings) as readonly (readonly [SettingKey, Setting<unknown>])[];

interface FlagTarget {
  readonly key: SettingKey;
  readonly setting: Setting<unknown>;
  /** The form that switches off. */
  readonly no: boolean;
}

/** Every flag's name without dashes, and what it sets. */
const flagTable: ReadonlyMap<string, FlagTarget> = new Map(
  allSettings.flatMap(([key, setting]) => {
    const forms = setting.kind.isSwitch ? [false, true] : [false];
    return [setting.name, ...setting.flagAliases].flatMap((name) =>
      forms.map((no): [string, FlagTarget] => [no ? `no-${name}` : name, { key, setting, no }]),
    );
  }),
);

function parseFlags(args: readonly string[]): Map<SettingKey, Given> | 'help' | 'version' {
  const found = new Map<SettingKey, Given>();
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? '';
    if (argument === '--help' || argument === '-h') return 'help';
    if (argument === '--version') return 'version';
    if (!argument.startsWith('-')) {
      if (found.has('model')) throw new ConfigError(`unexpected argument ${argument}: the model is given already`);
      found.set('model', { text: argument, as: argument });
      continue;
    }
    const [flag = '', inline] = splitOnce(argument);
    const target = flagTable.get(flag.replace(/^--/, '').replaceAll('_', '-'));
    if (target === undefined || !flag.startsWith('--')) throw unknownFlag(flag);
    const { key, setting, no } = target;
    let value = inline;
    if (no) {
      if (inline !== undefined) throw new ConfigError(`${flag} takes no value`);
      value = 'false';
    } else if (setting.kind.isSwitch) {
      const next = args[i + 1];
      if (value === undefined && next !== undefined && setting.kind.read(next) !== undefined) value = args[++i];
      value ??= 'true';
    } else if (value === undefined) {
      value = args[++i];
      if (value === undefined) throw new ConfigError(`${flag} needs a value: ${setting.kind.expects}`);
    }
    const earlier = setting.kind.isList ? found.get(key) : undefined;
    const text = earlier === undefined ? value : `${earlier.text},${value}`;
    found.set(key, { text, as: no ? flag : `${flag} ${text}` });
  }
  return found;
}

function fromEnvironment(setting: Setting<unknown>, env: Environment): Given | null {
  for (const name of setting.env) {
    const text = env[name];
    if (text !== undefined && text.trim() !== '') return { text, as: `${name}=${text}` };
  }
  return null;
}

function readValue(setting: Setting<unknown>, given: Given): unknown {
  const word = given.text.trim().toLowerCase();
  if (word === '' || setting.unsetWords.includes(word)) return setting.default;
  const value = setting.kind.read(given.text);
  if (value === undefined) throw new ConfigError(`${given.as} is not allowed: expected ${setting.kind.expects}`);
  return value;
}

function splitOnce(argument: string): [string, string | undefined] {
  const at = argument.indexOf('=');
  return at < 0 ? [argument, undefined] : [argument.slice(0, at), argument.slice(at + 1)];
}

function unknownFlag(flag: string): ConfigError {
  const suggestion = nearest(flag.replace(/^-+/, ''), [...flagTable.keys(), 'help', 'version']);
  const hint = suggestion === null ? 'see --help' : `did you mean --${suggestion}?`;
  return new ConfigError(`unknown flag ${flag}: ${hint}`);
}
