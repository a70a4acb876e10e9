/**
 * Writes the tables of settings into the documentation. `bun scripts/docs/configuration.ts`, or `bun run fix`.
 *
 * Owns which documents hold them. `test/unit/config/documentation.test.ts` fails when they are not up to date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { markdownTables } from '../../src/config/describe.ts';

const DOCUMENTS = [
  { path: 'docs/configuration.md', headingLevel: 2, which: 'all' },
  { path: 'README.md', headingLevel: 3, which: 'acting' },
] as const;

const BEGIN = '<!-- settings: generated, see scripts/docs/configuration.ts -->';
const END = '<!-- end of settings -->';

/** Each document with its text as it is and as it should be. */
export function documents(): { path: string; file: string; current: string; wanted: string }[] {
  return DOCUMENTS.map(({ path, headingLevel, which }) => {
    const file = fileURLToPath(new URL(`../../${path}`, import.meta.url));
    const current = readFileSync(file, 'utf8');
    const [begin, end] = [current.indexOf(BEGIN), current.indexOf(END)];
    if (begin < 0 || end < begin) throw new Error(`${path} has no place for the settings: ${BEGIN} ... ${END}`);
    const tables = `\n\n${markdownTables(headingLevel, which)}\n`;
    return { path, file, current, wanted: current.slice(0, begin + BEGIN.length) + tables + current.slice(end) };
  });
}

if (import.meta.main) {
  for (const { file, wanted } of documents()) writeFileSync(file, wanted);
}
