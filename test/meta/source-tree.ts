/**
 * The project's files and what they import, for the tests of its structure.
 *
 * Owns walking the tree and reading imports. Knows no rule.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

const NOT_OURS = /(^|\/)(node_modules|__pycache__|\.git|\.cache|out)$/;

/** All files below a folder whose paths match, relative to the root, sorted. */
export function filesUnder(folder: string, pattern: RegExp): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  const found = entries.flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return NOT_OURS.test(path) ? [] : filesUnder(path, pattern);
    return entry.isFile() && pattern.test(path) ? [path] : [];
  });
  return found.sort();
}

export function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The code without its comments; strings stay. */
export function codeOf(path: string): string {
  return textOf(path)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[\s;{}(),])\/\/.*$/gm, '$1');
}

export interface Imports {
  /** Modules that are loaded when the file is. */
  readonly values: readonly string[];
  /** Modules of which only types are used; they leave no trace at run time. */
  readonly types: readonly string[];
}

const transpiler = new Bun.Transpiler({ loader: 'ts' });

/** What a file imports: paths from the root for our own files, names for everything else. */
export function importsOf(path: string): Imports {
  const values = transpiler.scanImports(textOf(path)).map((found) => found.path);
  // The transpiler drops imports of types, which are dependencies all the same.
  const types = [...codeOf(path).matchAll(/^(?:import|export) type [^;]*? from '([^']+)';/gm)].map(
    (match) => match[1] ?? '',
  );
  const resolve = (name: string) => (name.startsWith('.') ? posix.join(posix.dirname(path), name) : name);
  return { values: values.map(resolve), types: types.map(resolve) };
}
