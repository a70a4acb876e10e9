/**
 * Values that a schema does not allow, each with the field that the server has to name.
 *
 * Only what is wrong by the schema alone: types, limits, lengths and names of choices. Knows no test runner.
 */
import { alternatives, propertiesOf, type Schema } from './body-schemas.ts';

export interface WrongValue {
  readonly value: unknown;
  /** `stop`, `stop[0]`, `messages[0].role`. */
  readonly param: string;
}

const samples: Readonly<Record<string, unknown>> = {
  string: 'text',
  number: 0.5,
  boolean: true,
  array: [],
  object: {},
};

/** Paths of all fields: `stop`, `messages.role`. */
export function fieldPaths(schema: Schema): string[] {
  return Object.entries(propertiesOf(schema)).flatMap(([name, field]) => [
    name,
    ...alternatives(field)
      .flatMap((one) => (one.type === 'array' ? alternatives((one.items ?? {}) as Schema) : [one]))
      .flatMap(fieldPaths)
      .map((inner) => `${name}.${inner}`),
  ]);
}

/** Wrong values of one field of a body. */
export function wrongValues(body: Schema, field: string): WrongValue[] {
  return wrongIn(propertiesOf(body)[field] ?? {}, field);
}

function wrongIn(schema: Schema, param: string): WrongValue[] {
  if (Object.keys(schema).length === 0) return [];
  const options = alternatives(schema);
  return [
    ...wrongTypes(options, param),
    ...options.flatMap((option) => wrongWithin(option, param, options.length > 1)),
  ];
}

/** A value of each type that no alternative has. */
function wrongTypes(options: readonly Schema[], param: string): WrongValue[] {
  const allowed = new Set(options.flatMap(typesOf));
  return Object.entries(samples)
    .filter(([type]) => !allowed.has(type))
    .map(([, value]) => ({ value, param }));
}

function typesOf(option: Schema): string[] {
  if (Array.isArray(option.enum)) return [...new Set(option.enum.map((value) => typeof value as string))];
  if ('const' in option) return [typeof option.const];
  return [option.type === 'integer' ? 'number' : String(option.type)];
}

/** Right type, wrong value. `isOneOfSeveral`: another alternative may take what this one does not. */
function wrongWithin(option: Schema, param: string, isOneOfSeveral: boolean): WrongValue[] {
  if (Array.isArray(option.enum) || 'const' in option) return [{ value: 'no such choice', param }];
  const at = (value: unknown): WrongValue => ({ value, param });
  switch (option.type) {
    case 'integer':
    case 'number':
      return wrongNumbers(option).map(at);
    case 'string':
      return [
        ...(Number(option.minLength ?? 0) > 0 ? [at('')] : []),
        ...(option.maxLength === undefined ? [] : [at('x'.repeat(Number(option.maxLength) + 1))]),
      ];
    case 'array':
      return [
        ...(Number(option.minItems ?? 0) > 0 ? [at([])] : []),
        ...wrongIn((option.items ?? {}) as Schema, '').map(({ value, param: inner }) => ({
          value: [value],
          param: `${param}[0]${inner}`,
        })),
      ];
    case 'object':
      return isOneOfSeveral ? [] : wrongProperties(option, param);
    default:
      return [];
  }
}

function wrongNumbers(option: Schema): number[] {
  const { minimum, maximum, exclusiveMinimum } = option as Readonly<Record<string, number | undefined>>;
  return [
    ...(option.type === 'integer' ? [1.5] : []),
    ...(minimum === undefined ? [] : [minimum - 1]),
    ...(exclusiveMinimum === undefined ? [] : [exclusiveMinimum]),
    ...(maximum === undefined ? [] : [maximum * 2 + 1]),
  ].filter(Number.isFinite);
}

function wrongProperties(option: Schema, param: string): WrongValue[] {
  const fields = propertiesOf(option);
  const required = (option.required ?? []) as string[];
  const least = Object.fromEntries(required.map((name) => [name, leastValue(fields[name] ?? {})]));
  const inner = Object.entries(fields).flatMap(([name, field]) =>
    wrongIn(field, name).map(({ value, param: path }) => ({
      value: { ...least, [name]: value },
      param: `${param}.${path}`,
    })),
  );
  const missing = required.map((name) => ({
    value: Object.fromEntries(Object.entries(least).filter(([other]) => other !== name)),
    param: `${param}.${name}`,
  }));
  const values = option.additionalProperties;
  const open = typeof values === 'object' && values !== null ? wrongIn(values as Schema, '5') : [];
  return [
    ...inner,
    ...missing,
    ...open.map(({ value, param: path }) => ({ value: { 5: value }, param: `${param}.${path}` })),
  ];
}

/** Something that the schema allows. */
function leastValue(schema: Schema): unknown {
  const [option = {}] = alternatives(schema);
  if (Array.isArray(option.enum)) return option.enum[0];
  if ('const' in option) return option.const;
  if (option.type !== 'object') return samples[option.type === 'integer' ? 'number' : String(option.type)];
  const fields = propertiesOf(option);
  return Object.fromEntries(
    ((option.required ?? []) as string[]).map((name) => [name, leastValue(fields[name] ?? {})]),
  );
}
