/**
 * Writes the table of settings out: the help text and the Markdown of the documentation.
 *
 * Pure. `scripts/docs/configuration.ts` puts the Markdown into the documents; a test keeps them equal.
 */
import { type Section, type Setting, type Status, variableOf } from './setting.ts';
import { settings } from './settings.ts';

const HELP_WIDTH = 100;
const HELP_INDENT = 34;

const rows: readonly Setting<unknown>[] = Object.values(settings);
const sections: readonly Section[] = [...new Set(rows.map((row) => row.section))];

const STATUS_TEXTS: Readonly<Record<Status, string>> = { acts: 'acts', 'no-effect': 'no effect', planned: 'not yet' };

/** What `--help` prints: what acts in full, the rest by name. */
export function helpText(): string {
  const blocks = sections.flatMap((section) => {
    const lines = rows.filter((row) => row.section === section && row.status === 'acts').flatMap(helpLines);
    return lines.length === 0 ? [] : [[`${section}:`, ...lines].join('\n')];
  });
  const usage = 'Usage: wgslm serve [MODEL] [flags]     or: bun run serve [MODEL] [flags]';
  const rule =
    'A flag goes before its environment variable (in brackets), a variable before the YAML file of\n--config, the file before the default. An empty variable counts as not set.';
  const other = 'Other:\n  --help, -h                      This text.\n  --version                       The version.';
  const rest = [
    nameList('Not supported yet; values that would change answers stop the start:', 'planned'),
    nameList('Accepted without effect, because there is no such thing here:', 'no-effect'),
    'docs/configuration.md says what each of them means.',
  ];
  return `${[usage, rule, ...blocks, other, ...rest].join('\n\n')}\n`;
}

/** A Markdown table per section, with headings of the given level; of what acts alone, or of everything with its status. */
export function markdownTables(headingLevel: number, which: 'acting' | 'all'): string {
  const heading = '#'.repeat(headingLevel);
  const columns = ['Flag', 'Environment', 'Default', ...(which === 'all' ? ['Status'] : []), 'Meaning'];
  const head = `| ${columns.join(' | ')} |\n|${' --- |'.repeat(columns.length)}`;
  const blocks = sections.flatMap((section) => {
    const shown = rows.filter((row) => row.section === section && (which === 'all' || row.status === 'acts'));
    const lines = shown.map((row) => markdownRow(row, which === 'all'));
    return lines.length === 0 ? [] : [`${heading} ${section}\n\n${head}\n${lines.join('\n')}\n`];
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
  const described = wrap(plain(text), HELP_WIDTH - HELP_INDENT).map((line) => ' '.repeat(HELP_INDENT) + line);
  if (flag.length > HELP_INDENT - 2) return [flag, ...described];
  return [flag.padEnd(HELP_INDENT) + (described[0] ?? '').trimStart(), ...described.slice(1)];
}

function nameList(title: string, status: Status): string {
  const names = rows.filter((row) => row.status === status).map((row) => `--${row.name}`);
  return [title, ...wrap(names.join(' '), HELP_WIDTH - 2).map((line) => `  ${line}`)].join('\n');
}

function markdownRow(row: Setting<unknown>, withStatus: boolean): string {
  const aliases = [...(row.short === null ? [] : [`-${row.short}`]), ...row.flagAliases.map((alias) => `--${alias}`)];
  const flag = [flagOf(row), ...aliases].map(code).join(', ');
  const old = row.oldNames.map(
    ({ name, isInverted }) => `; old name${isInverted ? ', the opposite' : ''}: ${code(variableOf(name))}`,
  );
  const env = row.env.map(code).join(', ') + old.join('');
  const shown = row.defaultText ?? code(defaultText(row));
  const status = withStatus ? [STATUS_TEXTS[row.status]] : [];
  const cells = [flag, env, shown, ...status, `${row.description} ${allowedText(row)}`.trim()];
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

function code(text: string): string {
  return `\`${text}\``;
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
