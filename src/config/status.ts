/**
 * What a setting's status leads to: planned ones stop the start, ones without effect are told once.
 *
 * Owns the wording. Notices name settings and never values, which may be secret.
 * Next: `setting.ts`, where the status stands.
 */
import { isDeepStrictEqual } from 'node:util';
import { ConfigError } from './config-error.ts';
import type { Given } from './given.ts';
import type { ParsedValues } from './parse.ts';
import { type Setting, variableOf } from './setting.ts';
import { type SettingKey, settings } from './settings.ts';

/** A setting that was given a value that differs from its default. */
interface Changed {
  readonly setting: Setting<unknown>;
  readonly given: Given;
}

/**
 * Throws: ConfigError that lists every setting whose value would change results if it were supported.
 */
export function refusePlanned(parsed: ParsedValues): void {
  const refused = changedSettings(parsed).filter(
    ({ setting }) => setting.status === 'planned' && setting.whilePlanned === 'refuse',
  );
  if (refused.length === 0) return;
  throw new ConfigError(
    refused.map(({ setting, given }) => `${given.as} is not yet supported: ${accepted(setting)}`).join('\n'),
  );
}

/** Lines for the log at the start: settings without effect, and old names. Empty when there is nothing to say. */
export function notices(parsed: ParsedValues): string[] {
  const old = [...parsed.given].flatMap(([key, given]) =>
    given.isOldName ? [oldNameNotice(settings[key], given)] : [],
  );
  const idle = changedSettings(parsed).flatMap(({ setting, given }) => {
    if (setting.status === 'no-effect') return [`${given.name} has no effect here. ${setting.description}`];
    return setting.status === 'planned' ? [`${given.name} is not yet supported and changes nothing for now.`] : [];
  });
  return [...old, ...idle];
}

function changedSettings({ values, given }: ParsedValues): Changed[] {
  return [...given].flatMap(([key, one]) => {
    const setting: Setting<unknown> = settings[key];
    const other = setting.sameAs === null ? undefined : values[setting.sameAs as SettingKey];
    const isNeutral = isDeepStrictEqual(values[key], setting.default) || isDeepStrictEqual(values[key], other);
    return isNeutral ? [] : [{ setting, given: one }];
  });
}

function accepted(setting: Setting<unknown>): string {
  const neutral = setting.unsetWords.filter((word) => /^[a-z]/.test(word));
  if (setting.default === null)
    return neutral.length === 0 ? 'leave it out' : `leave it out or use ${neutral.join(', ')}`;
  return `use ${[String(setting.default), ...neutral].join(' or ')}`;
}

function oldNameNotice(setting: Setting<unknown>, { name, isInverted }: Given): string {
  const isFlag = name.startsWith('-');
  const isYaml = name.includes(' ');
  const present = isFlag ? `--${setting.name}` : isYaml ? setting.name : (setting.env[0] ?? variableOf(setting.name));
  return `${name} is an old name: use ${present}${isInverted ? ', which means the opposite' : ''}.`;
}
