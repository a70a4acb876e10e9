/**
 * Writes the table of settings out: the help text and the Markdown of the documentation.
 *
 * Pure. `scripts/docs/configuration.ts` puts the Markdown into the documents; a test keeps them equal.
 */
import type { Section, Setting } from './setting.ts';
import { settings } from './settings.ts';

const HELP_WIDTH = 100;
const HELP_INDENT = 34;

const SECTIONS: readonly Section[] = ['Server', 'Model', 'Hub', 'Engine'];

const rows: readonly Setting<unknown>[] = Object.values(settings);

/** What `--help` prints. */
export function helpText(): string {
  const blocks = SECTIONS.map((section) => {
    const lines = rows.filter((row) => row.section === section).flatMap(helpLines);
    return [`${section}:`, ...lines].join('\n');
  });
  const usage = 'Usage: bun run serve [MODEL] [flags]';
  const rule = 'A flag goes before its environment variable (in brackets), a variable before the default.';
  const other = '  --help, -h                      This text.\n  --version                       The version.';
  return `${[usage, `${rule}\nAn empty variable counts as not set.`, ...blocks, `Other:\n${other}`].join('\n\n')}\n`;
}

/** A Markdown table per section, with headings of the given level. */
export function markdownTables(headingLevel: number): string {
  const heading = '#'.repeat(headingLevel);
  const blocks = SECTIONS.map((section) => {
    const lines = rows.filter((row) => row.section === section).map(markdownRow);
    const head = '| Flag | Environment | Default | Meaning |\n| --- | --- | --- | --- |';
    return `${heading} ${section}\n\n${head}\n${lines.join('\n')}\n`;
  });
  return blocks.join('\n');
}

function flagOf(row: Setting<unknown>): string {
  if (row.kind.isSwitch) return `--[no-]${row.name}`;
  return `--${row.name} ${row.kind.placeholder}`;
}

function helpLines(row: Setting<unknown>): string[] {
  const text = `${row.description} ${allowedText(row)}Default: ${plain(defaultText(row))}. [${row.env.join(', ')}]`;
  const flag = `  ${flagOf(row)}`;
  const described = wrap(text, HELP_WIDTH - HELP_INDENT).map((line) => ' '.repeat(HELP_INDENT) + line);
  if (flag.length > HELP_INDENT - 2) return [flag, ...described];
  return [flag.padEnd(HELP_INDENT) + (described[0] ?? '').trimStart(), ...described.slice(1)];
}

function markdownRow(row: Setting<unknown>): string {
  const aliases = row.flagAliases.map((alias) => `\`--${alias}\``);
  const flag = [`\`${flagOf(row)}\``, ...aliases].join(', ');
  const env = row.env.map((name) => `\`${name}\``).join(', ');
  const shown = row.defaultText ?? `\`${defaultText(row)}\``;
  const cells = [flag, env, shown, `${row.description} ${allowedText(row)}`.trim()];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** Says what is allowed where the flag's placeholder does not, with the unit. */
function allowedText(row: Setting<unknown>): string {
  const isNumber = row.kind.placeholder === 'N' || row.kind.placeholder === 'X';
  const unit = row.unit === null ? '' : ` (${row.unit})`;
  if (isNumber) return `Allowed: ${row.kind.expects}${unit}. `;
  return row.unit === null ? '' : `Unit: ${row.unit}. `;
}

function defaultText(row: Setting<unknown>): string {
  return row.defaultText ?? String(row.default);
}

function plain(markdown: string): string {
  return markdown.replaceAll('`', '');
}

function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
