/**
 * Finds the setting that a name belongs to: flags, their aliases, `--no-` forms, old names.
 *
 * Built once from the table. Next: `flags.ts` and `yaml-file.ts`, which look names up.
 */
import { nearest } from './nearest.ts';
import type { Setting } from './setting.ts';
import { allSettings, type SettingKey } from './settings.ts';

/** What a name sets. */
export interface Target {
  readonly key: SettingKey;
  readonly setting: Setting<unknown>;
  /** True where the name switches off. */
  readonly isInverted: boolean;
  readonly isOldName: boolean;
}

const byName: ReadonlyMap<string, Target> = new Map(
  allSettings.flatMap(([key, setting]) => {
    const present = [setting.name, ...setting.flagAliases].map((name) => ({
      name,
      isInverted: false,
      isOldName: false,
    }));
    const old = setting.oldNames.map((one) => ({ ...one, isOldName: true }));
    return [...present, ...old].flatMap(({ name, isInverted, isOldName }): [string, Target][] => {
      const target = { key, setting, isInverted, isOldName };
      const negated: [string, Target][] = [[`no-${name}`, { ...target, isInverted: !isInverted }]];
      return [[name, target], ...(setting.kind.isSwitch ? negated : [])];
    });
  }),
);

const byShort: ReadonlyMap<string, Target> = new Map(
  allSettings.flatMap(([key, setting]): [string, Target][] =>
    setting.short === null ? [] : [[setting.short, { key, setting, isInverted: false, isOldName: false }]],
  ),
);

/** By the name without dashes in front; underscores are as good as dashes. */
export function targetByName(name: string): Target | undefined {
  return byName.get(name.replaceAll('_', '-'));
}

/** By what follows the single dash of a short flag. */
export function targetByShort(short: string): Target | undefined {
  return byShort.get(short);
}

/** The known name that was probably meant, or null. `others` are known beside those of the table. */
export function nearestName(name: string, others: readonly string[] = []): string | null {
  return nearest(name.replaceAll('_', '-'), [...byName.keys(), ...others]);
}
