/**
 * Which files of a folder a build sees: the patterns of a `.dockerignore`, the last match deciding.
 *
 * Pure. A pattern that matches a folder holds for all below it. Next: `build.ts`, which copies what is left.
 */

interface Rule {
  readonly pattern: RegExp;
  /** True for a line with `!` in front. */
  readonly keeps: boolean;
}

/** A function that tells for a path with slashes, relative to the folder, whether the build sees it. */
export function ignoreFilter(text: string): (path: string) => boolean {
  const rules = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(ruleOf);
  return (path) => {
    const rule = rules.findLast(({ pattern }) => pattern.test(path));
    return rule === undefined || rule.keeps;
  };
}

function ruleOf(line: string): Rule {
  const keeps = line.startsWith('!');
  const path = (keeps ? line.slice(1) : line).replace(/^\/|\/$/g, '');
  const source = path.replace(/\*\*\/|\*\*|\*|\?|[.+^${}()|[\]\\]/g, (part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : `\\${part}`;
  });
  return { pattern: new RegExp(`^${source}(?:/|$)`), keeps };
}
