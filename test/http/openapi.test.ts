/** The OpenAPI document says what the server answers and checks, and its page needs nothing from elsewhere. */
import { describe, expect, test } from 'bun:test';
import * as v from 'valibot';
import { createApp } from '../../src/routes/app.ts';
import { operations } from '../../src/routes/openapi/operations.ts';
import { toJsonSchema } from '../../src/serving/schema/json-schema.ts';
import { says, testApp } from '../helpers/test-app.ts';
import { jobSetup } from '../unit/jobs/job-setup.ts';

const http = {
  rootPath: '/llm',
  healthCheckPath: '/ping',
  enableRequestIdHeaders: false,
  hasApiDocs: true,
  enableTokenizerInfoEndpoint: true,
};

interface Document {
  readonly openapi: string;
  readonly servers: readonly { url: string }[];
  readonly paths: Record<string, Record<string, { operationId: string; security?: object[]; requestBody?: unknown }>>;
}

async function documentOf(settings: object = {}): Promise<Document> {
  const { get } = testApp(says('a'), { settings: { apiKeys: ['key'], http, ...settings } });
  return (await (await get('/openapi.json', { authorization: 'Bearer key' })).json()) as Document;
}

test('it lists exactly the routes of the server', () => {
  const { deps } = testApp(says('a'));
  const { service } = jobSetup(says('a'));
  for (const jobs of [null, service]) {
    const served = createApp(deps, jobs).routes.map(
      ({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}').replace('*', '{name}')}`,
    );
    const listed = operations(jobs !== null).map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    expect(listed.toSorted()).toEqual(served.toSorted());
  }
});

test('each operation has a name of its own; keys are asked for where they are needed', async () => {
  const { openapi, paths, servers } = await documentOf();
  expect([openapi, servers]).toEqual(['3.1.0', [{ url: '/llm' }]]);
  const all = Object.values(paths).flatMap((methods) => Object.values(methods));
  expect(new Set(all.map(({ operationId }) => operationId)).size).toBe(all.length);
  expect(paths['/health']?.get?.security).toEqual([]);
  expect(paths['/v1/chat/completions']?.post?.security).toEqual([{ key: [] }]);
  expect((await documentOf({ apiKeys: [] })).paths['/v1/models']?.get?.security).toBeUndefined();
});

test('bodies carry the limits that are checked', async () => {
  const { paths } = await documentOf();
  expect(paths['/v1/chat/completions']?.post?.requestBody).toMatchObject({
    content: {
      'application/json': {
        schema: {
          type: 'object',
          required: ['messages'],
          properties: {
            temperature: { type: ['number', 'null'], minimum: 0, maximum: 2 },
            stream: { type: ['boolean', 'null'] },
            messages: { type: 'array', minItems: 1 },
          },
        },
      },
    },
  });
});

test('page and document can be turned off, and need a key like everything else', async () => {
  const off = testApp(says('a'), { settings: { http: { ...http, hasApiDocs: false } } });
  for (const path of ['/docs', '/openapi.json']) expect((await off.get(path)).status).toBe(404);
  const locked = testApp(says('a'), { settings: { apiKeys: ['key'] } });
  for (const path of ['/docs', '/openapi.json']) expect((await locked.get(path)).status).toBe(401);
});

test('the page loads nothing from elsewhere', async () => {
  const { get } = testApp(says('a'));
  const response = await get('/docs');
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('content-security-policy')).toContain("default-src 'self'");
  const html = await response.text();
  expect(html).toContain('<!doctype html>');
  expect(html).not.toMatch(/https?:\/\/|src=|@import/);
});

describe('schemas', () => {
  test.each([
    [
      v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(Number.MAX_SAFE_INTEGER)),
      { type: 'integer', minimum: 1 },
    ],
    [v.pipe(v.number(), v.gtValue(0), v.maxValue(1)), { type: 'number', exclusiveMinimum: 0, maximum: 1 }],
    [v.nullish(v.picklist(['a', 'b'])), { enum: ['a', 'b', null] }],
    [
      v.nullish(v.union([v.string(), v.literal(false)])),
      { anyOf: [{ type: 'string' }, { const: false }, { type: 'null' }] },
    ],
    [v.pipe(v.array(v.string()), v.maxLength(4)), { type: 'array', items: { type: 'string' }, maxItems: 4 }],
    [v.pipe(v.string(), v.minLength(1)), { type: 'string', minLength: 1 }],
    [v.record(v.string(), v.unknown()), { type: 'object', additionalProperties: {} }],
    [
      v.strictObject({ a: v.boolean() }),
      { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'], additionalProperties: false },
    ],
  ])('%#', (schema, expected) => {
    expect(toJsonSchema(schema)).toEqual(expected);
  });

  test('an unknown kind is an error, not a gap', () => {
    expect(() => toJsonSchema(v.date())).toThrow('type date');
  });
});
