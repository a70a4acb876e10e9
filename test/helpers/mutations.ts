/**
 * Requests that are nearly right: bodies made by a schema, then changed in one place or several, then perhaps broken as text.
 *
 * Knows JSON Schema, no routes and no test runner. Everything comes from the given generator, so that a seed gives the same cases.
 * Next: `fuzz-cases.ts`, which makes whole requests of them.
 */
import { alternatives, propertiesOf, type Schema } from './body-schemas.ts';
import type { Random } from './random.ts';

const deep = (depth: number): unknown => (depth === 0 ? 1 : [deep(depth - 1)]);

/** Values that are somewhere too much, too little or of another kind. */
const wildValues: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 2, 0.5, 1.5, 1e-6, 255, 256, 257, 267, 268],
  ...[2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, -(2 ** 53), 2 ** 63, 2 ** 64, 1e308, -1e308, 5e-324],
  ...['', ' ', '0', 'text', 'never', 'auto', '\u0000', '\ud83d', '\u202e', '<|im_start|>', '<|im_end|>', '{{ 7 * 7 }}'],
  ...['{% for %}', '__proto__', 'test-model', 'x'.repeat(2000), '\u00e9\u{1f44d}'.repeat(50), 'data:image/png;base64,'],
  ...[[], [[]], [null], [0], [1, 2, 3], ['a'], [-1], [1e9], [{}], new Array(300).fill(1), ['', ''], [['a'], [1]]],
  ...[
    {},
    { a: 1 },
    { 0: 1 },
    { 5: 1e308 },
    { 5: 1, '05': 2 },
    { type: 'text' },
    { type: 'text', text: 'x' },
    { type: 'json_object' },
  ],
  ...[
    { role: 'user' },
    { role: 'user', content: 'x' },
    { constructor: 1 },
    JSON.parse('{"__proto__":{"a":1}}'),
    deep(200),
  ],
];

/** Texts that the schema cannot tell from others. */
const texts: readonly string[] = [
  'hi',
  'user',
  'assistant',
  'system',
  'text',
  'input_text',
  'message',
  'test-model',
  'a b',
];

/** Something that the schema allows, mostly. */
export function validValue(schema: Schema, random: Random): unknown {
  const options = alternatives(schema);
  if (options.length === 0) return null;
  const option = random.pick(options);
  if (Array.isArray(option.enum)) return random.pick(option.enum);
  if ('const' in option) return option.const;
  switch (option.type) {
    case 'boolean':
      return random.isLikely(0.5);
    case 'integer':
      return Math.round(validNumber(option, random));
    case 'number':
      return validNumber(option, random);
    case 'string':
      return random.pick(texts);
    case 'array':
      return Array.from({ length: 1 + random.below(2) }, () => validValue((option.items ?? {}) as Schema, random));
    case 'object':
      return validObject(option, random);
    default:
      return random.pick(wildValues);
  }
}

function validObject(option: Schema, random: Random): Record<string, unknown> {
  const required = new Set((option.required ?? []) as string[]);
  const fields = Object.entries(propertiesOf(option)).filter(([name]) => required.has(name) || random.isLikely(0.3));
  return Object.fromEntries(fields.map(([name, field]) => [name, validValue(field, random)]));
}

/** Small, so that a case asks for little work. */
function validNumber(option: Schema, random: Random): number {
  const { minimum = 0, maximum = 4, exclusiveMinimum } = option as Readonly<Record<string, number | undefined>>;
  const least = exclusiveMinimum === undefined ? Math.max(minimum, -4) : exclusiveMinimum + 0.01;
  return least + random.next() * (Math.min(maximum, least + 4) - least);
}

/** A body with one field set to a value that is right, on a limit, or wrong. */
export function withChangedField(body: unknown, schema: Schema, random: Random): unknown {
  const fields = Object.entries(propertiesOf(schema));
  if (typeof body !== 'object' || body === null || Array.isArray(body) || fields.length === 0) return body;
  const [name, field] = random.pick(fields);
  switch (random.below(5)) {
    case 0:
      return { ...body, [name]: validValue(field, random) };
    case 1:
      return { ...body, [name]: limitValue(field, random) };
    case 2:
      return { ...body, [name]: random.pick(wildValues) };
    default:
      return { ...body, [name]: wildValueOfType(field, random) };
  }
}

/** A value of the right type gets further than others. */
function wildValueOfType(schema: Schema, random: Random): unknown {
  const types = alternatives(schema).map(({ type }) => (type === 'integer' ? 'number' : type));
  const fitting = wildValues.filter((value) => types.includes(Array.isArray(value) ? 'array' : typeof value));
  return random.pick(fitting.length > 0 ? fitting : wildValues);
}

function limitValue(schema: Schema, random: Random): unknown {
  const option = random.pick(alternatives(schema));
  const limits = ['minimum', 'maximum', 'exclusiveMinimum'].flatMap((key) => {
    const limit = option[key];
    return typeof limit === 'number' ? [limit, limit - 1, limit + 1, limit * 1.001] : [];
  });
  if (typeof option.maxLength === 'number') limits.push(option.maxLength, option.maxLength + 1);
  if (limits.length === 0) return random.pick(wildValues);
  const limit = random.pick(limits);
  return option.type === 'string' ? 'x'.repeat(limit) : limit;
}

/** A tree with one node somewhere replaced, removed, doubled or added. */
export function withChangedNode(tree: unknown, random: Random): unknown {
  if (typeof tree !== 'object' || tree === null) return random.pick(wildValues);
  const keys = Object.keys(tree);
  const key = keys.length === 0 ? null : random.pick(keys);
  const goesDeeper = key !== null && random.isLikely(0.6);
  if (goesDeeper) return replacedAt(tree, key, (value) => withChangedNode(value, random));
  switch (random.below(4)) {
    case 0:
      return key === null ? random.pick(wildValues) : removedAt(tree, key);
    case 1:
      return Array.isArray(tree) ? [...tree, ...tree] : { ...tree, unknown_field: random.pick(wildValues) };
    default:
      return key === null ? random.pick(wildValues) : replacedAt(tree, key, () => random.pick(wildValues));
  }
}

function replacedAt(tree: object, key: string, change: (value: unknown) => unknown): unknown {
  if (Array.isArray(tree)) return tree.map((item: unknown, i) => (String(i) === key ? change(item) : item));
  return Object.fromEntries(Object.entries(tree).map(([name, value]) => [name, name === key ? change(value) : value]));
}

function removedAt(tree: object, key: string): unknown {
  if (Array.isArray(tree)) return tree.filter((_, i) => String(i) !== key);
  return Object.fromEntries(Object.entries(tree).filter(([name]) => name !== key));
}

const wildNumbers = ['1e400', '-1e400', '1e-400', '-0', '0123', 'NaN', 'Infinity', '9'.repeat(400), '1.0', '1E2'];
const wholeBodies = [
  '',
  ' ',
  'null',
  '[]',
  '"x"',
  '0',
  'true',
  '{}',
  '{',
  '{"a"',
  '\ufeff{}',
  '['.repeat(50_000),
  '{"a":'.repeat(5000),
];

/** The text with something broken that JSON cannot say. */
export function brokenText(text: string, random: Random): string | Uint8Array<ArrayBuffer> {
  switch (random.below(6)) {
    case 0:
      return text.slice(0, random.below(text.length + 1));
    case 1:
      return random.pick(wholeBodies);
    case 2:
      return `${text}${random.pick([' ', '}', '\0', 'x', text])}`;
    case 3:
      return text.replace(/-?\d+(\.\d+)?/, random.pick(wildNumbers));
    case 4:
      return `\ufeff${text}`;
    default: {
      const bytes = new TextEncoder().encode(text);
      if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    }
  }
}
