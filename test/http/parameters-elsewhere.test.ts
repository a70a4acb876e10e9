/**
 * Wrong values of every field of the other routes that take a body, made of the server's own document.
 *
 * What good values do there is tested route by route. Next: `parameters.test.ts`.
 */
import { describe, expect, test } from 'bun:test';
import { bodySchemas } from '../helpers/body-schemas.ts';
import { says } from '../helpers/test-app.ts';
import { wrongValues } from '../helpers/wrong-values.ts';
import { jobSetup } from '../unit/jobs/job-setup.ts';

const turns = { messages: [{ role: 'user', content: 'hi' }] };
const job = { input: { prompt: 'hi' } };

/** The least that each route takes. */
const least: Readonly<Record<string, object>> = {
  '/v1/chat/completions/render': turns,
  '/v1/completions/render': { prompt: 'hi' },
  '/v1/responses': { input: 'hi' },
  '/v1/messages': { ...turns, max_tokens: 5 },
  '/v1/messages/count_tokens': turns,
  '/tokenize': { prompt: 'hi' },
  '/detokenize': { tokens: [1] },
  '/run': job,
  '/runsync': job,
};
/** Tested by hand, field by field. */
const elsewhere = new Set(['/v1/chat/completions', '/v1/completions']);

const subject = jobSetup(says('hello'));
const schemas = await bodySchemas((path) => subject.call('GET', path));

for (const [path, schema] of schemas) {
  if (elsewhere.has(path)) continue;
  const good = least[path.replace('/v2/{endpoint}', '')] ?? {};
  const url = path.replace('{endpoint}', 'ep');

  describe(path, () => {
    test('takes the least', async () => {
      expect((await subject.call('POST', url, good)).status).toBe(200);
    });

    for (const field of Object.keys((schema.properties ?? {}) as object)) {
      test(field, async () => {
        for (const { value, param } of wrongValues(schema, field)) {
          const response = await subject.call('POST', url, { ...good, [field]: value });
          const { error } = (await response.json()) as { error: { message: string; param?: string } };
          // Anthropic's errors have no field of their own for it.
          const named = error.param ?? /^(?:\w+: )?`([^`]+)`/.exec(error.message)?.[1];
          // A field that is refused whatever its value is named as a whole.
          const isNamed = named === param || named === field;
          expect({ param, value, named, status: response.status, isNamed }).toMatchObject({
            status: 400,
            isNamed: true,
          });
        }
        expect((await subject.call('GET', '/health')).status).toBe(200);
        expect(subject.reported).toEqual([]);
      });
    }
  });
}
