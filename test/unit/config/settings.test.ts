/** The table itself: names are unique, and every default is one that its own kind would accept. */
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { helpText } from '../../../src/config/describe.ts';
import { type Setting, variableOf } from '../../../src/config/setting.ts';
import { allSettings, settings } from '../../../src/config/settings.ts';

const rows: readonly Setting<unknown>[] = Object.values(settings);

function duplicates(names: readonly string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index);
}

test('no flag and no variable belongs to two settings', () => {
  const oldNames = (row: Setting<unknown>) => row.oldNames.map((old) => old.name);
  expect(duplicates(rows.flatMap((row) => [row.name, ...row.flagAliases, ...oldNames(row)]))).toEqual([]);
  expect(duplicates(rows.flatMap((row) => [...row.env, ...oldNames(row).map(variableOf)]))).toEqual([]);
  expect(duplicates(rows.flatMap((row) => row.short ?? []))).toEqual([]);
});

test('every setting can be given by flag and by variable', () => {
  expect(rows.filter((row) => !/^[a-z][a-z0-9-]*$/.test(row.name)).map((row) => row.name)).toEqual([]);
  expect(rows.filter((row) => !row.env.every((name) => /^[A-Z][A-Z0-9_]*$/.test(name))).map((row) => row.name)).toEqual(
    [],
  );
  expect(rows.filter((row) => row.env.length === 0)).toEqual([]);
});

test.each(rows.map((row) => ({ name: row.name, row })))('the default of $name is allowed', ({ row }) => {
  if (row.default === null) expect(row.defaultText).not.toBeNull();
  else if (Array.isArray(row.default)) expect(row.kind.read(JSON.stringify(row.default))).toEqual(row.default);
  else expect(row.kind.read(String(row.default))).toEqual(row.default);
});

test('the help names every flag and fits its width', () => {
  const help = helpText();
  for (const row of rows) expect(help).toMatch(new RegExp(`--(\\[no-\\])?${row.name}\\s`));
  expect(help.split('\n').filter((line) => line.length > 100)).toEqual([]);
});

/** Numbers that count nothing: ports, ranks, shares, factors and codes. */
const WITHOUT_UNIT =
  /^(port|port-health|vllm-port|master-port|data-parallel-rpc-port|node-rank|seed|rope-theta|.*-rank|.*-factor)$/;

test.each(rows.map((row) => ({ name: row.name, row })))('$name is described', ({ name, row }) => {
  expect(row.description).toMatch(/^[A-Z].*\.$/);
  expect(['acts', 'no-effect', 'planned']).toContain(row.status);
  const isNumber = ['N', 'X'].includes(row.kind.placeholder);
  const isShare = /utilization|probability|posterior|pruning/.test(name);
  if (isNumber && !WITHOUT_UNIT.test(name) && !isShare) expect(row.unit).toBeString();
});

test('a setting whose neutral value is that of another names one that exists', () => {
  expect(rows.filter((row) => row.sameAs !== null && !(row.sameAs in settings))).toEqual([]);
});

test('a setting that acts is read', () => {
  const source = readFileSync(new URL('../../../src/config/build-config.ts', import.meta.url), 'utf8');
  const read = new Set([...source.matchAll(/\bvalues\.(\w+)/g)].map((match) => match[1]));
  const acting = allSettings.flatMap(([key, row]) => (row.status === 'acts' ? [key] : []));
  // The file that is named is read before there are values.
  expect(acting.filter((key) => !read.has(key))).toEqual(['config']);
});
