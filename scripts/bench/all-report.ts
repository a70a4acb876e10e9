/**
 * What came of the parts of `bench all`, as one Markdown document: a table of all, then what each printed.
 *
 * Pure. Next: `all.ts` (runs the parts and writes the file).
 */

/** How a part ended. */
export interface PartOutcome {
  readonly name: string;
  readonly command: string;
  readonly state: 'done' | 'failed' | 'out of time' | 'not begun';
  readonly seconds: number;
  /** What it printed. */
  readonly output: string;
  /** What it complained of. */
  readonly errors: string;
  /** Its figures' file; null where it wrote none. */
  readonly json: string | null;
}

export interface AllHeader {
  readonly date: string;
  readonly minutes: number;
  /** Settings of the environment that decide what is measured. */
  readonly environment: Readonly<Record<string, string>>;
  /** What had to be said about the preparations. */
  readonly notes: readonly string[];
}

const MOST_LINES = 400;
const MOST_ERROR_LINES = 30;

/** The document. */
export function allReport({ date, minutes, environment, notes }: AllHeader, outcomes: readonly PartOutcome[]): string {
  const settings = Object.entries(environment).map(([name, value]) => `\`${name}=${value}\``);
  return [
    `# Benchmarks of ${date}`,
    `Time: ${minutes} minutes. Settings: ${settings.join(', ') || 'none'}.`,
    ...notes,
    tableOf(outcomes),
    ...outcomes.filter(({ state }) => state !== 'not begun').map(sectionOf),
    '',
  ].join('\n\n');
}

function tableOf(outcomes: readonly PartOutcome[]): string {
  const rows = outcomes.map(
    ({ name, state, seconds, json }) => `| ${name} | ${state} | ${seconds.toFixed(0)} | ${json ?? '-'} |`,
  );
  return ['| Part | State | Seconds | Figures |', '|---|---|---:|---|', ...rows].join('\n');
}

function sectionOf({ name, command, state, output, errors }: PartOutcome): string {
  const parts = [`## ${name}`, `\`${command}\`${state === 'done' ? '' : `: **${state}**`}`];
  const printed = lastLines(output, MOST_LINES);
  if (printed !== '') parts.push(fenced(printed));
  const complaints = lastLines(errors, MOST_ERROR_LINES);
  if (state !== 'done' && complaints !== '') parts.push('Its last messages:', fenced(complaints));
  return parts.join('\n\n');
}

/** In a fence that is longer than any in the text. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}

function lastLines(text: string, most: number): string {
  const lines = text.trimEnd().split('\n');
  return lines.length <= most ? lines.join('\n') : ['...', ...lines.slice(-most)].join('\n');
}
