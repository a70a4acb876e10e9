/**
 * The grammar of the command line: `--flag value`, `--flag=value`, `-f value`, `--switch`, `--no-switch`, one model without a flag.
 *
 * Pure. Must not know what a setting means, and reads no value. Next: `parse.ts`, which puts variables and YAML beneath.
 */
import { ConfigError } from './config-error.ts';
import type { Given } from './given.ts';
import { nearestName, type Target, targetByName, targetByShort } from './names.ts';
import type { SettingKey } from './settings.ts';

export type Flags = ReadonlyMap<SettingKey, Given>;

/** Throws: ConfigError for unknown flags and missing values. */
export function parseFlags(args: readonly string[]): Flags | 'help' | 'version' {
  const found = new Map<SettingKey, Given>();
  let bareModel: string | null = null;
  /** The list that further words belong to once the model is known. */
  let openList: Target | null = null;
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? '';
    if (argument === '-h' || argument === '--help' || argument.startsWith('--help=')) return 'help';
    if (argument === '--version') return 'version';
    if (!argument.startsWith('-')) {
      if (openList !== null && found.has('model')) {
        add(found, openList, `--${openList.setting.name}`, argument);
        continue;
      }
      if (found.has('model')) throw new ConfigError(`unexpected argument ${argument}: the model is given already`);
      bareModel = argument;
      found.set('model', { text: argument, as: argument, name: argument, isInverted: false, isOldName: false });
      continue;
    }
    const [flag, inline] = splitOnce(argument);
    const target = findTarget(flag);
    if (target.key === 'model' && bareModel !== null)
      throw new ConfigError(`unexpected argument ${bareModel}: the model is given by ${flag} too`);
    let value = inline;
    if (target.setting.kind.isSwitch) {
      const isNegated = /^--no[-_]/.test(flag);
      if (isNegated && inline !== undefined) throw new ConfigError(`${flag} takes no value`);
      const next = args[i + 1];
      const takesNext = !isNegated && value === undefined && next !== undefined;
      if (takesNext && target.setting.kind.read(next) !== undefined) value = args[++i];
      value ??= 'true';
    } else if (value === undefined) {
      value = args[++i];
      if (value === undefined) throw new ConfigError(`${flag} needs a value: ${target.setting.kind.expects}`);
    }
    openList = target.setting.kind.isList ? target : null;
    add(found, target, flag, value);
  }
  return found;
}

/** Sets the value; a list grows by it, of anything else the last one counts. */
function add(found: Map<SettingKey, Given>, target: Target, flag: string, value: string): void {
  const { key, setting, isInverted, isOldName } = target;
  const earlier = setting.kind.isList ? found.get(key) : undefined;
  const text =
    earlier === undefined ? value : JSON.stringify([...items(setting, earlier.text), ...items(setting, value)]);
  const as = /^--no[-_]/.test(flag) ? flag : `${flag} ${text}`;
  found.set(key, { text, as, name: flag, isInverted, isOldName });
}

function items(setting: Target['setting'], text: string): readonly unknown[] {
  const read = setting.kind.read(text);
  return Array.isArray(read) ? read : [];
}

/** Throws: ConfigError that names the nearest. */
function findTarget(flag: string): Target {
  const target = flag.startsWith('--') ? targetByName(flag.slice(2)) : targetByShort(flag.slice(1));
  if (target !== undefined) return target;
  const suggestion = nearestName(flag.replace(/^-+/, ''), ['help', 'version']);
  const hint = suggestion === null ? 'see --help' : `did you mean --${suggestion}?`;
  throw new ConfigError(`unknown flag ${flag}: ${hint}`);
}

function splitOnce(argument: string): [string, string | undefined] {
  const at = argument.indexOf('=');
  return at < 0 ? [argument, undefined] : [argument.slice(0, at), argument.slice(at + 1)];
}
