/**
 * Splits a line into words as a shell does, for flags that come in one variable.
 *
 * Pure. Quotes and backslashes mean what they mean in a POSIX shell; nothing is expanded.
 */
import { ConfigError } from './config-error.ts';

/** `name` is the variable, for the message. Throws: ConfigError for a quote without end. */
export function shellWords(line: string, name: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  for (let i = 0; i < line.length; i++) {
    const letter = line[i] ?? '';
    if (/\s/.test(letter)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (letter === "'") {
      const end = line.indexOf("'", i + 1);
      if (end < 0) throw openQuote(name);
      word = (word ?? '') + line.slice(i + 1, end);
      i = end;
    } else if (letter === '"') {
      word ??= '';
      for (i++; line[i] !== '"'; i++) {
        if (i >= line.length) throw openQuote(name);
        if (line[i] === '\\' && /["\\$`]/.test(line[i + 1] ?? '')) i++;
        word += line[i];
      }
    } else if (letter === '\\') {
      word = (word ?? '') + (line[++i] ?? '');
    } else {
      word = (word ?? '') + letter;
    }
  }
  if (word !== null) words.push(word);
  return words;
}

function openQuote(name: string): ConfigError {
  return new ConfigError(`${name} is not allowed: a quote has no end`);
}
