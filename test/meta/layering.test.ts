/** Files import only what the table of layers allows, and never in a circle. */
import { describe, expect, test } from 'bun:test';
import { LAYERS, layerOf } from './layers.ts';
import { codeOf, filesUnder, importsOf } from './source-tree.ts';

const files = filesUnder('src', /\.ts$/).filter((path) => !path.endsWith('.d.ts'));
const imports = new Map(files.map((path) => [path, importsOf(path)]));

/** `node:fs/promises` and `@scope/name/part` by what package.json would call them. */
function packageName(name: string): string {
  return name.split('/', name.startsWith('@') ? 2 : 1).join('/');
}

describe('layers', () => {
  test('every source file belongs to one', () => {
    expect(files.filter((path) => layerOf(path) === undefined)).toEqual([]);
  });

  test('the table names only layers that it defines', () => {
    const known = new Set(['*', ...LAYERS.map((layer) => layer.name)]);
    expect(LAYERS.flatMap((layer) => layer.mayImport).filter((name) => !known.has(name))).toEqual([]);
  });

  test('our own imports keep to the table', () => {
    const violations = files.flatMap((path) => {
      const layer = layerOf(path);
      const { values = [], types = [] } = imports.get(path) ?? {};
      return [...values, ...types].flatMap((target) => {
        const other = layerOf(target);
        if (layer === undefined || other === undefined || layer === other) return [];
        const isAllowed = layer.mayImport.includes('*') || layer.mayImport.includes(other.name);
        return isAllowed ? [] : [`${path} (${layer.name}) imports ${target} (${other.name})`];
      });
    });
    expect(violations).toEqual([]);
  });

  test('packages are used only where the table says', () => {
    const violations = files.flatMap((path) => {
      const allowed = layerOf(path)?.packages ?? [];
      const { values = [], types = [] } = imports.get(path) ?? {};
      return [...values, ...types]
        .filter((name) => !/^(src\/|node:|bun(:|$))/.test(name) && !allowed.includes(packageName(name)))
        .map((name) => `${path} imports ${name}`);
    });
    expect(violations).toEqual([]);
  });

  test('no file reaches itself by its imports', () => {
    expect(findCycles()).toEqual([]);
  });
});

describe('places', () => {
  test('what only Bun has stays in src/runtime and src/engine/gpu', () => {
    const free = /^src\/(runtime|engine\/gpu)\//;
    const usesBun = /\bBun\s*[.[]|['"]bun(:[a-z]+)?['"]/;
    expect(files.filter((path) => !free.test(path) && usesBun.test(codeOf(path)))).toEqual([]);
  });

  test('shader files are imported by src/shaders/index.ts alone', () => {
    const importers = files.filter((path) => imports.get(path)?.values.some((name) => name.endsWith('.wgsl')));
    expect(importers.filter((path) => path !== 'src/shaders/index.ts')).toEqual([]);
  });

  test('the scheduler and its parts use no clock, no chance, no device and never wait', () => {
    const impure = /\bawait\b|\basync\b|\bDate\b|\bperformance\b|\bsetTimeout\b|\bMath\.random\b|\bprocess\.|'node:/;
    const core = files.filter((path) => layerOf(path)?.name === 'core');
    expect(core.filter((path) => impure.test(codeOf(path)))).toEqual([]);
  });
});

/** Each cycle as the chain of files that closes it. */
function findCycles(): string[] {
  const done = new Set<string>();
  const chain: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string) => {
    const start = chain.indexOf(path);
    if (start >= 0) cycles.push([...chain.slice(start), path].join(' -> '));
    if (start >= 0 || done.has(path)) return;
    chain.push(path);
    for (const target of imports.get(path)?.values ?? []) visit(target);
    chain.pop();
    done.add(path);
  };
  for (const path of files) visit(path);
  return cycles;
}
