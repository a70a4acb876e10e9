/**
 * Every field of the two generation endpoints: a good value acts, and what the document calls wrong is a 400 that names the field.
 *
 * Good values stand in `test/helpers/parameters`. Wrong ones are made of the server's own document, so that a new field is tested at once;
 * wrong values that only make sense by hand stand in `test/unit/serving/bad-requests.test.ts`.
 */
import { describe, expect, test } from 'bun:test';
import { chatCompletionWire } from '../../src/serving/schema/chat-completions.ts';
import { completionWire } from '../../src/serving/schema/completions.ts';
import { bodySchemas } from '../helpers/body-schemas.ts';
import type { ParameterCase, Seen } from '../helpers/parameters/case.ts';
import { chatCases } from '../helpers/parameters/chat.ts';
import { completionCases } from '../helpers/parameters/completions.ts';
import { says, testApp } from '../helpers/test-app.ts';
import { fieldPaths, wrongValues } from '../helpers/wrong-values.ts';

const schemas = await bodySchemas(testApp(says('a')).get);

const endpoints = [
  {
    path: '/v1/chat/completions',
    least: { messages: [{ role: 'user', content: 'hi' }] },
    cases: chatCases,
    wire: chatCompletionWire,
  },
  { path: '/v1/completions', least: { prompt: 'hi' }, cases: completionCases, wire: completionWire },
] as const;

for (const { path, least, cases, wire } of endpoints) {
  const schema = schemas.get(path) ?? {};

  const see = async (row: ParameterCase, body: object): Promise<Seen> => {
    const { engine, post } = testApp(row.script, row.overrides);
    const response = await post(path, { ...least, ...body });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
    const hasStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    return { requests: engine.requests, text, hasStream };
  };

  describe(`${path}: a good value acts`, () => {
    for (const row of cases) {
      test(`${row.field} ${JSON.stringify(row.body).slice(0, 90)}`, async () => {
        expect(row.observe(await see(row, row.body))).toEqual(row.gives);
        const otherwise = row.observe(await see(row, row.without));
        if (row.isDefault === null) expect(otherwise).not.toEqual(row.gives);
        else expect(otherwise).toEqual(row.gives);
      });
    }

    test('every field of the schema has a row', () => {
      const tested = new Set(cases.map(({ field }) => field));
      expect(fieldPaths(schema).filter((field) => !tested.has(field))).toEqual([]);
      expect([...tested].filter((field) => !fieldPaths(schema).includes(field))).toEqual([]);
    });
  });

  describe(`${path}: a wrong value is a 400 that names its field`, () => {
    // One server takes all of them.
    const { engine, get, post, reported } = testApp(says('hello'));

    const expectRefused = async (body: object, param: string): Promise<void> => {
      const response = await post(path, body);
      const { error } = (await response.json()) as { error: { param: string; code: number; type: string } };
      expect({ body, param: error.param, code: error.code, type: error.type, status: response.status }).toEqual({
        body,
        param,
        code: 400,
        type: 'BadRequestError',
        status: 400,
      });
      expect((await get('/health')).status).toBe(200);
      expect((await post(path, { ...least, max_tokens: 1 })).status).toBe(200);
      expect(engine.numRunning).toBe(0);
      expect(reported).toEqual([]);
    };

    for (const field of Object.keys((schema.properties ?? {}) as object)) {
      test(field, async () => {
        const wrong = wrongValues(schema, field);
        expect(wrong.length).toBeGreaterThan(0);
        for (const { value, param } of wrong) await expectRefused({ ...least, [field]: value }, param);
      });
    }

    test('fields that are not supported yet', async () => {
      for (const { field } of wire.unsupported) await expectRefused({ ...least, [field]: { not: 'neutral' } }, field);
    });

    test('an id has one spelling, so that no token has two biases', async () => {
      await expectRefused({ ...least, logit_bias: { 5: 1, '05': 2 } }, 'logit_bias');
    });

    test('a name that is not served is a 404', async () => {
      const response = await post(path, { ...least, model: 'other' });
      const { error } = (await response.json()) as { error: { param: string } };
      expect([response.status, error.param]).toEqual([404, 'model']);
    });
  });
}
