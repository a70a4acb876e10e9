/**
 * Whole requests for every POST route of a server: a good body of the route, changed by the server's own document.
 *
 * Next: `mutations.ts` (the changes), `test/http/fuzz.test.ts` (who sends them).
 */
import { propertiesOf, type Schema } from './body-schemas.ts';
import { brokenText, validValue, withChangedField, withChangedNode } from './mutations.ts';
import { Random } from './random.ts';

export interface FuzzCase {
  /** As the document has it. */
  readonly route: string;
  /** The route with its parameters filled in, and a query. */
  readonly path: string;
  readonly body: string | Uint8Array<ArrayBuffer> | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Reads only the first piece of the answer. */
  readonly leaves: boolean;
}

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: [{ type: 'text', text: 'hi' }] },
  {
    role: 'assistant',
    content: 'yes',
    reasoning: 'hm',
    tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{"x":1}' } }],
  },
  { role: 'tool', content: 'ok', tool_call_id: 'a' },
];
const chats = [
  { messages: [{ role: 'user', content: 'hi' }] },
  { messages, stream: true, stream_options: { include_usage: true }, logprobs: true, top_logprobs: 2 },
  { messages, n: 2, stop: ['x'], logit_bias: { 5: 1 }, seed: 1, temperature: 0.5 },
];
const completions = [
  { prompt: 'hi', max_tokens: 4 },
  { prompt: ['a', 'b'], n: 2, best_of: 3, logprobs: 1, echo: true },
  { prompt: [[1, 2], [3]], stream: true, prompt_logprobs: null, stop_token_ids: [5] },
  { prompt: [1, 2, 3], use_beam_search: true, n: 2, max_tokens: 3, length_penalty: 0.5 },
];
const turns = [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }];
const jobs = [
  { input: { prompt: 'hi', sampling_params: { max_tokens: 3, n: 2 } } },
  { input: { messages: [{ role: 'user', content: 'hi' }], stream: true, max_batch_size: 2, min_batch_size: 1 } },
  { input: { openai_route: '/v1/chat/completions', openai_input: { ...chats[0], model: 'test-model', stream: true } } },
  { input: { route: '/v1/models', method: 'GET' }, policy: { executionTimeout: 5000, ttl: 60_000 } },
];

/** Good bodies by route; the same ones below `/v2/{endpoint}`. */
const goodBodies: Readonly<Record<string, readonly unknown[]>> = {
  '/v1/chat/completions': chats,
  '/v1/chat/completions/render': chats,
  '/v1/completions': completions,
  '/v1/completions/render': completions,
  '/v1/responses': [
    { input: 'hi', max_output_tokens: 4, store: false },
    { input: [{ role: 'user', content: [{ type: 'input_text', text: 'hi' }] }], stream: true, metadata: { a: 'b' } },
    { input: 'hi', background: true, include: ['message.output_text.logprobs'], top_logprobs: 1 },
  ],
  '/v1/messages': [
    { messages: turns, max_tokens: 5, system: 'Be brief.', stop_sequences: ['x'] },
    {
      messages: turns,
      max_tokens: 5,
      stream: true,
      system: [{ type: 'text', text: 'a' }],
      metadata: { user_id: 'me' },
    },
  ],
  '/v1/messages/count_tokens': [{ messages: turns, system: 'Be brief.' }],
  '/tokenize': [
    { prompt: 'hi', return_token_strs: true },
    { messages, add_generation_prompt: false },
  ],
  '/detokenize': [{ tokens: [1, 2, 267] }],
  '/run': jobs,
  '/runsync': jobs,
};

const wildIds = ['unknown', '%00', '..', '%2e%2e%2f', '%E0%A4%A', 'x'.repeat(3000), '%F0%9F%91%8D', 'a b', '0', '%2F'];
const wildQueries = [
  '',
  '',
  '',
  '?wait=1000',
  '?wait=-1',
  '?wait=NaN',
  '?ttl=1',
  `?ttl=${'9'.repeat(30)}`,
  '?wait',
  '?%',
  '?a=b&a=c',
];
const contentTypes = [
  'text/plain',
  '',
  'application/json; charset=latin1',
  'APPLICATION/JSON',
  'multipart/form-data',
  'application/jsonp',
];

/** Endless cases. `ids`: of jobs and responses that answers have named; changes while cases are sent. */
export function* fuzzCases(
  schemas: ReadonlyMap<string, Schema | null>,
  seed: number,
  ids: readonly string[],
): Generator<FuzzCase, never, undefined> {
  const random = new Random(seed);
  const routes = [...schemas];
  const weighted = routes.flatMap(([route, schema]) =>
    Array<[string, Schema | null]>(weightOf(schema)).fill([route, schema]),
  );
  for (;;) {
    const [route, schema] = random.pick(weighted);
    const id = () => (ids.length > 0 && random.isLikely(0.6) ? random.pick(ids) : random.pick(wildIds));
    const path = route.replace('{endpoint}', random.isLikely(0.9) ? 'ep' : random.pick(wildIds)).replace('{id}', id);
    const body = schema === null ? null : bodyOf(route, schema, random);
    yield {
      route,
      path: `${path}${random.pick(wildQueries)}`,
      body,
      headers: headersOf(random),
      leaves: random.isLikely(0.1),
    };
  }
}

/** What has more fields has more to go wrong. */
function weightOf(schema: Schema | null): number {
  return schema === null ? 1 : 4 + Math.floor(Object.keys(propertiesOf(schema)).length / 4);
}

function bodyOf(route: string, schema: Schema, random: Random): string | Uint8Array<ArrayBuffer> {
  const good = goodBodies[route.replace('/v2/{endpoint}', '')];
  if (good === undefined) throw new Error(`There is no good body for ${route}.`);
  let body = random.isLikely(0.1) ? validValue(schema, random) : random.pick(good);
  const numChanges = random.below(4);
  for (let i = 0; i < numChanges; i++) {
    body = random.isLikely(0.6) ? withChangedField(body, schema, random) : withChangedNode(body, random);
  }
  const text = JSON.stringify(body) ?? '';
  return random.isLikely(0.1) ? brokenText(text, random) : text;
}

function headersOf(random: Random): Record<string, string> {
  if (random.isLikely(0.95)) return { 'content-type': 'application/json' };
  return {
    'content-type': random.pick(contentTypes),
    'x-request-id': random.pick(['mine', 'x'.repeat(2000), '']),
    'content-encoding': random.pick(['gzip', 'identity', 'br']),
  };
}
