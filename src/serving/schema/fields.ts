/**
 * Building blocks of the wire schemas: ranges with messages that name the limit and never echo the client's value.
 *
 * Next: `sampling.ts`, `messages.ts`, `chat-completions.ts`, `completions.ts`, `tokenize.ts`.
 */
import * as v from 'valibot';

/** A field that may be absent or null; both mean "not given". */
export const optional = <const S extends v.GenericSchema>(schema: S) => v.nullish(schema);

export const integer = (min: number, max: number = Number.MAX_SAFE_INTEGER) =>
  v.pipe(
    v.number(),
    v.integer('must be an integer'),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
  );

export const real = (min: number, max: number) =>
  v.pipe(
    v.number(),
    v.finite('must be a finite number'),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
  );

/** A number above `min`. */
export const realAbove = (min: number, max: number) =>
  v.pipe(
    v.number(),
    v.finite('must be a finite number'),
    v.gtValue(min, `must be greater than ${min}`),
    v.maxValue(max, `must be at most ${max}`),
  );

const maxPhraseLength = 1024;

/** A short text that is looked for in the output: half a surrogate pair is none. */
export const phrase = v.pipe(
  v.string(),
  v.minLength(1, 'must not be empty'),
  v.maxLength(maxPhraseLength, `must have at most ${maxPhraseLength} characters`),
  v.check((text) => text.isWellFormed(), 'must be well-formed Unicode'),
);

export const tokenIds = v.array(integer(0));

/** Refuses arrays, which the library's schemas take for objects. */
export const objectOf = <const S extends v.GenericSchema>(schema: S) =>
  v.pipe(
    v.unknown(),
    v.check((value) => !Array.isArray(value), 'must be an object, not an array'),
    schema,
  );

/** Any JSON object. */
export const jsonObject = objectOf(v.record(v.string(), v.unknown()));
