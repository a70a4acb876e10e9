/**
 * The OpenAPI document, made of the routes' own schemas, so that it says what the server checks.
 *
 * Next: `operations.ts` (the rows), `page.html` (which shows it).
 */
import { type JsonSchema, toJsonSchema } from '../../serving/schema/json-schema.ts';
import { type Operation, operations } from './operations.ts';

export interface DocumentOptions {
  readonly version: string;
  /** In front of all paths; empty = none. */
  readonly rootPath: string;
  readonly hasKeys: boolean;
  readonly hasJobs: boolean;
}

const errorSchema: JsonSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: { type: ['string', 'null'], description: 'The path of the field at fault.' },
        code: { type: 'integer', description: 'The HTTP status.' },
      },
    },
  },
};

const anything: JsonSchema = { type: 'object' };

/** The document as plain data, OpenAPI 3.1. */
export function openapiDocument(options: DocumentOptions): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const row of operations(options.hasJobs)) {
    paths[row.path] = { ...paths[row.path], [row.method]: operationObject(row, options) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'wgslm', version: options.version, description: 'An OpenAI-compatible server for language models.' },
    servers: [{ url: options.rootPath === '' ? '/' : options.rootPath }],
    paths,
    components: {
      schemas: { Error: errorSchema },
      ...(options.hasKeys ? { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } } : {}),
    },
  };
}

function operationObject(row: Operation, { hasKeys }: DocumentOptions): object {
  const names = [...row.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');
  const parameters = [
    ...names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(row.query ?? {}).map(([name, description]) => ({
      name,
      in: 'query',
      description,
      schema: { type: 'string' },
    })),
  ];
  return {
    tags: [row.tag],
    summary: row.summary,
    operationId: `${row.method}${row.path.replace(/\W+(\w)?/g, (_, letter: string = '') => `_${letter}`)}`,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(row.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: toJsonSchema(row.body) } } } }),
    responses: {
      '200': answerObject(row),
      default: {
        description: 'What went wrong.',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
    ...(hasKeys ? { security: row.isOpen === true ? [] : [{ key: [] }] } : {}),
  };
}

function answerObject({ answer }: Operation): object {
  if (answer === 'empty') return { description: 'No content.' };
  if (answer === 'text') return { description: 'Text.', content: { 'text/plain': { schema: { type: 'string' } } } };
  const json = { 'application/json': { schema: anything } };
  if (answer === 'json') return { description: 'The answer.', content: json };
  return {
    description: 'The answer, or its pieces as server-sent events when `stream` is true.',
    content: { ...json, 'text/event-stream': { schema: { type: 'string' } } },
  };
}
