/**
 * The kinds of value that a setting may hold: how text becomes a value, and what is allowed in words.
 *
 * A kind knows no setting's name and not where its text came from: `parse.ts` adds both to the message.
 * Next: `setting.ts`, a row of the table.
 */

/** Reads one kind of value from text. */
export interface Kind<T> {
  /** What is allowed, as it follows "expected": `an integer from 0 to 65535`. */
  readonly expects: string;
  /** What stands after a flag in the help: `N`, `TEXT`; empty for a switch. */
  readonly placeholder: string;
  /** A switch needs no value on the command line and has a `--no-` form. */
  readonly isSwitch: boolean;
  /** A list's flag may be repeated. */
  readonly isList: boolean;
  /** A list or a mapping in a YAML file is handed over as JSON text. */
  readonly isStructured: boolean;
  /** The value, or undefined when the text is none. */
  read(text: string): T | undefined;
}

/** Any text, without the white space around it. */
export function text(placeholder: string): Kind<string> {
  return { ...single, expects: 'text', placeholder, read: (input) => input.trim() };
}

/** Any text, exactly as given: in a template white space counts. */
export function verbatim(placeholder: string): Kind<string> {
  return { ...single, expects: 'text', placeholder, read: (input) => input };
}

/** Texts separated by commas, empty ones are dropped; or a JSON array, whose texts may hold commas. */
export function list(placeholder: string): Kind<readonly string[]> {
  const split = (input: string) => input.split(',').map((item) => item.trim());
  return {
    ...single,
    isList: true,
    isStructured: true,
    expects: 'texts separated by commas',
    placeholder,
    read: (input) => jsonTexts(input) ?? split(input).filter((item) => item !== ''),
  };
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** A JSON object. */
export function json(): Kind<JsonObject> {
  return {
    ...single,
    isStructured: true,
    expects: 'a JSON object',
    placeholder: 'JSON',
    read(input) {
      const value = tryJson(input);
      return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
    },
  };
}

/** JSON or another notation, handed on as text. */
export function notation(placeholder: string): Kind<string> {
  return { ...text(placeholder), isStructured: true };
}

/** An http or https address; a slash at the end is dropped. */
export function url(): Kind<string> {
  return {
    ...single,
    expects: 'an http or https address',
    placeholder: 'URL',
    read(input) {
      const address = input.trim().replace(/\/+$/, '');
      return /^https?:\/\/[^\s/]/.test(address) ? address : undefined;
    },
  };
}

/** true/1/yes/on or false/0/no/off, in any case. */
export function boolean(): Kind<boolean> {
  return {
    expects: 'true, 1, yes, on, false, 0, no or off',
    placeholder: '',
    isSwitch: true,
    isList: false,
    isStructured: false,
    read: (input) => BOOLEANS.get(input.trim().toLowerCase()),
  };
}

/** One of a closed set. `aliases` are other spellings that are read but not advertised as values of their own. */
export function choice<const V extends string | number>(
  values: readonly V[],
  aliases: Readonly<Record<string, V>> = {},
): Kind<V> {
  const known = new Map<string, V>([...values.map((value): [string, V] => [String(value), value])]);
  for (const [alias, value] of Object.entries(aliases)) known.set(alias, value);
  return {
    ...single,
    expects: oneOf([...known.keys()]),
    placeholder: values.join('|'),
    read: (input) => known.get(input.trim().toLowerCase()),
  };
}

export interface Range {
  readonly min?: number;
  readonly max?: number;
  /** Leaves the minimum itself out. */
  readonly isMinOpen?: boolean;
}

/** A whole number. `4k` is 4,000 and `4K` 4,096; `m`, `M`, `g` and `G` likewise. */
export function integer(range: Range = {}): Kind<number> {
  return {
    ...single,
    expects: `an integer${inWords(range)}`,
    placeholder: 'N',
    read: (input) => within(range, readInteger(input.trim())),
  };
}

/** A number with or without a fraction. */
export function decimal(range: Range = {}): Kind<number> {
  return {
    ...single,
    expects: `a number${inWords(range)}`,
    placeholder: 'X',
    read: (input) => within(range, readDecimal(input.trim())),
  };
}

const single = { isSwitch: false, isList: false, isStructured: false } as const;

const BOOLEANS = new Map([
  ...['true', '1', 'yes', 'on'].map((word): [string, boolean] => [word, true]),
  ...['false', '0', 'no', 'off'].map((word): [string, boolean] => [word, false]),
]);

const MULTIPLES: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

function readInteger(input: string): number | undefined {
  const match = /^([+-]?\d+(?:\.\d+)?)([kmgKMG]?)$/.exec(input);
  if (match === null) return undefined;
  const [, digits = '', suffix = ''] = match;
  const value = Number(digits) * (MULTIPLES[suffix] ?? 1);
  return Number.isSafeInteger(value) ? value : undefined;
}

function readDecimal(input: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(input) ? Number(input) : undefined;
}

function tryJson(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    return undefined;
  }
}

function jsonTexts(input: string): readonly string[] | undefined {
  const value = input.trimStart().startsWith('[') ? tryJson(input) : undefined;
  return Array.isArray(value) && value.every((item) => typeof item !== 'object') ? value.map(String) : undefined;
}

function within(range: Range, value: number | undefined): number | undefined {
  const { min = -Infinity, max = Infinity, isMinOpen = false } = range;
  if (value === undefined || value < min || value > max || (isMinOpen && value === min)) return undefined;
  return value;
}

function inWords({ min, max, isMinOpen = false }: Range): string {
  if (min !== undefined && max !== undefined)
    return isMinOpen ? ` above ${min}, up to ${max}` : ` from ${min} to ${max}`;
  if (min !== undefined) return isMinOpen ? ` above ${min}` : ` of at least ${min}`;
  return max === undefined ? '' : ` of at most ${max}`;
}

function oneOf(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
