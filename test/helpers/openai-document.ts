/**
 * OpenAI's own description of its API as validators of answers.
 *
 * The document is no part of this repository: `WGSLM_CONFORMANCE` names its folder, a sibling of the checkout otherwise. Owns the
 * exceptions that this server makes: an answer that uses one is checked with what the document would have there.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

/** A place where an answer may differ from the document. */
interface Exception {
  readonly name: string;
  /** `*` stands for any index. */
  readonly at: readonly string[];
  isUsed(value: unknown): boolean;
  readonly standIn: unknown;
}

/** All of them, and why. */
export const exceptions: readonly Exception[] = [
  // vLLM sends the HTTP status as a number, and clients of both read either.
  { name: 'integer error.code', at: ['error', 'code'], isUsed: Number.isInteger, standIn: '400' },
  // The document has no chunk of a text completion that is not the last one.
  {
    name: 'null finish_reason in completion chunks',
    at: ['choices', '*', 'finish_reason'],
    isUsed: (value) => value === null,
    standIn: 'stop',
  },
  // The first token of an echoed prompt has nothing before it.
  {
    name: 'null first entry of echoed logprobs',
    at: ['choices', '*', 'logprobs', 'token_logprobs', '0'],
    isUsed: (value) => value === null,
    standIn: 0,
  },
  {
    name: 'null first entry of echoed logprobs',
    at: ['choices', '*', 'logprobs', 'top_logprobs', '0'],
    isUsed: (value) => value === null,
    standIn: {},
  },
  // The server gave the sequence up.
  {
    name: 'finish_reason abort',
    at: ['choices', '*', 'finish_reason'],
    isUsed: (value) => value === 'abort',
    standIn: 'stop',
  },
];

export interface Verdict {
  /** What is wrong although all exceptions are allowed. */
  readonly problems: readonly string[];
  /** Exceptions without which the answer would not do. */
  readonly used: readonly string[];
}

export interface OpenAiDocument {
  /** Checks an answer against a schema of the document. */
  check(schema: string, body: unknown): Verdict;
  /** The schema of a typed event of the Responses API. Throws: Error for a type that the document does not know. */
  eventSchema(type: string): string;
}

type Node = Readonly<Record<string, unknown>>;

/** Null where the document is not at hand. */
export function loadOpenAiDocument(): OpenAiDocument | null {
  const folder =
    process.env.WGSLM_CONFORMANCE ?? fileURLToPath(new URL('../../../shared/conformance', import.meta.url));
  const file = `${folder}/openapi/openapi.json`;
  if (!existsSync(file)) return null;
  const { components } = JSON.parse(readFileSync(file, 'utf8')) as { components: { schemas: Record<string, Node> } };
  const schemas = Object.fromEntries(Object.entries(components.schemas).map(([name, one]) => [name, withNull(one)]));

  // The document has keywords of its own.
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addFormat('unixtime', { type: 'number', validate: Number.isFinite });
  ajv.addSchema({ $id: 'openai', components: { schemas } });
  const validators = new Map<string, ValidateFunction>();
  const problemsOf = (schema: string, body: unknown): readonly string[] => {
    let validate = validators.get(schema);
    if (validate === undefined) {
      if (schemas[schema] === undefined) throw new Error(`The document has no schema ${schema}.`);
      validate = ajv.compile({ $ref: `openai#/components/schemas/${schema}` });
      validators.set(schema, validate);
    }
    validate(body);
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  };

  return {
    check(schema, body) {
      if (problemsOf(schema, body).length === 0) return { problems: [], used: [] };
      // Leaves out one exception after the other: what is then still right did not need it.
      const problems = problemsOf(schema, allowing(exceptions, body));
      const needed = exceptions.filter(
        (one) =>
          problemsOf(
            schema,
            allowing(
              exceptions.filter((other) => other !== one),
              body,
            ),
          ).length > problems.length,
      );
      return { problems, used: [...new Set(needed.map(({ name }) => name))] };
    },
    eventSchema: (type) => {
      const event = eventRefs(schemas).find((name) => typeNames(schemas[name]).includes(type));
      if (event === undefined) throw new Error(`The document has no event ${type}.`);
      return event;
    },
  };
}

function eventRefs(schemas: Readonly<Record<string, unknown>>): string[] {
  const { anyOf = [] } = (schemas.ResponseStreamEvent ?? {}) as { anyOf?: { $ref: string }[] };
  return anyOf.map(({ $ref }) => $ref.split('/').at(-1) ?? '');
}

function typeNames(schema: unknown): readonly unknown[] {
  const { properties } = (schema ?? {}) as { properties?: { type?: { enum?: unknown[] } } };
  return properties?.type?.enum ?? [];
}

/** `nullable` is a keyword of an older OpenAPI, which JSON Schema does not know. */
function withNull(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withNull);
  if (typeof node !== 'object' || node === null) return node;
  const { nullable, ...rest } = node as Node;
  // A field may be called so.
  if (nullable !== true) return mapValues(node as Node, withNull);
  const schema = mapValues(rest, withNull);
  if (typeof schema.type !== 'string') return { anyOf: [schema, { type: 'null' }] };
  return {
    ...schema,
    type: [schema.type, 'null'],
    ...(Array.isArray(schema.enum) ? { enum: [...schema.enum, null] } : {}),
  };
}

const mapValues = (node: Node, change: (value: unknown) => unknown): Record<string, unknown> =>
  Object.fromEntries(Object.entries(node).map(([key, value]) => [key, change(value)]));

/** The body with stand-ins where an exception is used. */
function allowing(allowed: readonly Exception[], body: unknown): unknown {
  return allowed.reduce((changed, one) => replaced(changed, one.at, one), body);
}

function replaced(value: unknown, path: readonly string[], exception: Exception): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return exception.isUsed(value) ? exception.standIn : value;
  if (Array.isArray(value)) {
    return value.map((item, i) => (key === '*' || key === String(i) ? replaced(item, rest, exception) : item));
  }
  if (typeof value !== 'object' || value === null || !(key in value)) return value;
  return { ...value, [key]: replaced((value as Record<string, unknown>)[key], rest, exception) };
}
