/** The table itself: names are unique, and every default is one that its own kind would accept. */
import { expect, test } from 'bun:test';
import { helpText } from '../../../src/config/describe.ts';
import type { Setting } from '../../../src/config/setting.ts';
import { settings } from '../../../src/config/settings.ts';

const rows: readonly Setting<unknown>[] = Object.values(settings);

function duplicates(names: readonly string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index);
}

test('no flag and no variable belongs to two settings', () => {
  expect(duplicates(rows.flatMap((row) => [row.name, ...row.flagAliases]))).toEqual([]);
  expect(duplicates(rows.flatMap((row) => row.env))).toEqual([]);
});

test('every setting can be given by flag and by variable', () => {
  expect(rows.filter((row) => !/^[a-z][a-z-]*$/.test(row.name)).map((row) => row.name)).toEqual([]);
  expect(rows.filter((row) => !row.env.every((name) => /^[A-Z][A-Z_]*$/.test(name))).map((row) => row.name)).toEqual(
    [],
  );
  expect(rows.filter((row) => row.env.length === 0)).toEqual([]);
});

test.each(rows.map((row) => ({ name: row.name, row })))('the default of $name is allowed', ({ row }) => {
  if (row.default === null) expect(row.defaultText).not.toBeNull();
  else if (Array.isArray(row.default)) expect(row.kind.isList).toBe(true);
  else expect(row.kind.read(String(row.default))).toEqual(row.default);
});

test('the help names every flag and fits its width', () => {
  const help = helpText();
  for (const row of rows) expect(help).toContain(row.kind.isSwitch ? `--[no-]${row.name}` : `--${row.name} `);
  expect(help.split('\n').filter((line) => line.length > 100)).toEqual([]);
});
