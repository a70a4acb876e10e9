/** Documents name files that exist, and no file carries what belongs to one machine. */
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { filesUnder, textOf } from './source-tree.ts';

const documents = [...filesUnder('', /^[A-Z]+\.md$/), ...filesUnder('docs', /\.md$/)];
const texts = filesUnder('', /\.(ts|mjs|wgsl|py|md|json|toml|sh|txt|jinja)$|^(Dockerfile|\.ci\/run)$/).filter(
  (path) => !/^(models|test\/fixtures)\//.test(path),
);

describe('documents', () => {
  test.each(documents)('%s names real paths', (document) => {
    const named = [...textOf(document).matchAll(/`((?:src|test|scripts|docs|models|\.ci)\/[\w./-]*)`/g)];
    const paths = named.map((match) => match[1] ?? '');
    expect(paths.filter((path) => !existsSync(new URL(`../../${path}`, import.meta.url)))).toEqual([]);
  });
});

describe('every text file', () => {
  const PACKAGE_HOSTS = ['npm', 'pypi', 'pythonhosted', 'debian', 'ubuntu', 'crates'];

  test('names no host of a package registry or mirror', () => {
    const host = new RegExp(`https?://[\\w.-]*(?:${PACKAGE_HOSTS.join('|')})`, 'i');
    expect(texts.filter((path) => host.test(textOf(path)))).toEqual([]);
  });

  test('names no path of one machine', () => {
    const path = /(?<![\w.~$-])\/(?:root|work|Users)\/\w/;
    expect(texts.filter((file) => path.test(textOf(file)))).toEqual([]);
  });
});

test('source, test and script files stay under 400 lines', () => {
  const sources = ['src', 'test', 'scripts'].flatMap((folder) => filesUnder(folder, /\.(ts|mjs|wgsl|py)$/));
  const long = sources.filter((path) => textOf(path).split('\n').length > 400);
  expect(long).toEqual([]);
});
