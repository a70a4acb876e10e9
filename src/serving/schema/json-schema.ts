/**
 * Wire schemas as JSON Schema, for the OpenAPI document.
 *
 * Knows the kinds that the wire schemas are made of and throws on any other, so that a new one is not forgotten. Checks that JSON Schema
 * cannot say are left out: the document allows a little more than the server. Next: `routes/openapi/document.ts`.
 */
import type * as v from 'valibot';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** Any schema or step of a pipe, by the properties that are read here. */
interface Node {
  readonly kind: string;
  readonly type: string;
  readonly pipe?: readonly Node[];
  readonly wrapped?: Node;
  readonly entries?: Readonly<Record<string, Node>>;
  readonly item?: Node;
  readonly value?: Node;
  readonly rest?: Node;
  readonly options?: readonly (Node | string | number)[];
  readonly items?: readonly Node[];
  readonly literal?: unknown;
  readonly requirement?: unknown;
  getter?(input: unknown): Node;
}

/** Throws: Error for a kind of schema that it does not know. */
export function toJsonSchema(schema: v.GenericSchema): JsonSchema {
  return convert(schema as unknown as Node);
}

function convert(node: Node): JsonSchema {
  if (node.pipe === undefined) return plain(node);
  const [first, ...steps] = node.pipe;
  if (first === undefined) throw new Error('A pipe has at least one step.');
  return steps.reduce<JsonSchema>(refine, convert(first));
}

function plain(node: Node): JsonSchema {
  switch (node.type) {
    case 'string':
    case 'boolean':
    case 'number':
    case 'null':
      return { type: node.type };
    case 'unknown':
    case 'any':
      return {};
    case 'nullish':
    case 'nullable':
      return orNull(convert(inner(node.wrapped)));
    case 'optional':
      return convert(inner(node.wrapped));
    case 'array':
      return { type: 'array', items: convert(inner(node.item)) };
    case 'tuple':
    case 'loose_tuple':
    case 'strict_tuple':
      return { type: 'array', prefixItems: (node.items ?? []).map(convert) };
    case 'record':
      return { type: 'object', additionalProperties: convert(inner(node.value)) };
    case 'object':
    case 'loose_object':
    case 'strict_object':
    case 'object_with_rest':
      return object(node);
    case 'union':
    case 'variant':
      return { anyOf: (node.options ?? []).map((option) => convert(option as Node)) };
    case 'intersect':
      return { allOf: (node.options ?? []).map((option) => convert(option as Node)) };
    case 'picklist':
      return { enum: [...(node.options ?? [])] };
    case 'literal':
      return { const: node.literal };
    case 'custom':
    case 'lazy':
      return {};
    default:
      throw new Error(`The OpenAPI document cannot say what a schema of type ${node.type} is.`);
  }
}

function object(node: Node): JsonSchema {
  const entries = Object.entries(node.entries ?? {});
  const required = entries.filter(([, entry]) => !isOptional(entry)).map(([name]) => name);
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, entry]) => [name, convert(entry)])),
    ...(required.length > 0 ? { required } : {}),
    ...(node.type === 'strict_object' ? { additionalProperties: false } : {}),
  };
}

/** What one step of a pipe adds. Steps that no keyword stands for add nothing. */
function refine(schema: JsonSchema, step: Node): JsonSchema {
  // What comes after a check of any value says more than it.
  if (step.kind === 'schema') return Object.keys(schema).length === 0 ? convert(step) : schema;
  const { requirement } = step;
  const isList = schema.type === 'array';
  switch (step.type) {
    case 'integer':
    case 'safe_integer':
      return { ...schema, type: 'integer' };
    case 'min_value':
      return isTooLarge(requirement) ? schema : { ...schema, minimum: requirement };
    case 'max_value':
      return isTooLarge(requirement) ? schema : { ...schema, maximum: requirement };
    case 'gt_value':
      return { ...schema, exclusiveMinimum: requirement };
    case 'lt_value':
      return { ...schema, exclusiveMaximum: requirement };
    case 'non_empty':
      return { ...schema, [isList ? 'minItems' : 'minLength']: 1 };
    case 'min_length':
      return { ...schema, [isList ? 'minItems' : 'minLength']: requirement };
    case 'max_length':
      return { ...schema, [isList ? 'maxItems' : 'maxLength']: requirement };
    case 'description':
      return { ...schema, description: (step as unknown as { description: string }).description };
    default:
      return schema;
  }
}

/** Limits that only keep numbers exact are of no interest to a reader. */
function isTooLarge(value: unknown): boolean {
  return typeof value !== 'number' || Math.abs(value) >= Number.MAX_SAFE_INTEGER;
}

function orNull(schema: JsonSchema): JsonSchema {
  if (Array.isArray(schema.enum)) return { ...schema, enum: [...schema.enum, null] };
  if (typeof schema.type === 'string') return { ...schema, type: [schema.type, 'null'] };
  if (Object.keys(schema).length === 0) return schema;
  return { anyOf: [...(Array.isArray(schema.anyOf) ? schema.anyOf : [schema]), { type: 'null' }] };
}

function isOptional(node: Node): boolean {
  if (node.pipe !== undefined) return node.pipe[0] !== undefined && isOptional(node.pipe[0]);
  return node.type === 'nullish' || node.type === 'optional' || node.type === 'unknown';
}

function inner(node: Node | undefined): Node {
  if (node === undefined) throw new Error('A schema has no inner schema.');
  return node;
}
