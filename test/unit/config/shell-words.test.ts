/** Words of a line, as a shell would split them. */
import { expect, test } from 'bun:test';
import { shellWords } from '../../../src/config/shell-words.ts';
import { refusalOf } from './read-settings.ts';

test.each([
  ['', []],
  ['  --a  1\t--b ', ['--a', '1', '--b']],
  [`--json '{"a": "b c"}'`, ['--json', '{"a": "b c"}']],
  ['--x="a \\"b\\" $c" d', ['--x=a "b" $c', 'd']],
  ['a\\ b ""', ['a b', '']],
])('%j', (line, words) => {
  expect(shellWords(line, 'X')).toEqual(words);
});

test.each(["'a", '"a'])('%s has no end', (line) => {
  expect(refusalOf(() => shellWords(line, 'X'))).toBe('X is not allowed: a quote has no end');
});
