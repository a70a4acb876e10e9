/**
 * Words and variables as a Dockerfile writes them: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`, quotes.
 *
 * Pure. Shell lines are not expanded here: the shell does that, in the step's own environment.
 */

export type Variables = ReadonlyMap<string, string>;

/** The text with its variables replaced; an unknown one is empty. */
export function expand(text: string, variables: Variables): string {
  const pattern = /\\\$|\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})/g;
  return text.replace(pattern, (whole, bare?: string, braced?: string, operator?: string, word?: string) => {
    if (whole === '\\$') return '$';
    const value = variables.get(bare ?? braced ?? '') ?? '';
    if (operator === '-') return value === '' ? expand(word ?? '', variables) : value;
    if (operator === '+') return value === '' ? '' : expand(word ?? '', variables);
    return value;
  });
}

/** The words of a line; quotes hold spaces together and are taken away. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  for (const [word] of line.matchAll(/(?:"(?:\\.|[^"])*"|'[^']*'|\\.|[^\s"'])+/g)) {
    words.push(
      word.replace(/"((?:\\.|[^"])*)"|'([^']*)'|\\([^$])/g, (_, double?: string, single?: string, escaped?: string) =>
        double !== undefined ? double.replace(/\\(["\\])/g, '$1') : (single ?? escaped ?? ''),
      ),
    );
  }
  return words;
}
