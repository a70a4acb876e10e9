/**
 * What holds for all routes of a running server: keys, request ids, refusal of what cannot fit, and figures that add up.
 *
 * The list of routes is the app's own, so that a new route is asked without being named here.
 */
import { describe, expect } from 'bun:test';
import { createApp } from '../../src/routes/app.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { until } from '../helpers/server-process.ts';
import { says, testApp } from '../helpers/test-app.ts';
import { serverSuite, tinyModel } from './suite.ts';

const OPEN = ['/health', '/live', '/metrics', '/metrics/routing', '/ping', '/ready', '/version'];
const KEYS = ['first-key', 'second-key'];
const { routes } = createApp(testApp(says('a')).deps);

const suite = serverSuite({
  MODEL_NAME: tinyModel('tiny-llama'),
  SERVED_MODEL_NAME: 'tiny',
  API_KEY: KEYS.join(','),
  ENABLE_REQUEST_ID_HEADERS: '1',
});

function ask(
  server: ServerProcess,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: object,
): Promise<Response> {
  return fetch(`${server.url}${path.replace(/:id|\*/g, 'none')}`, {
    method,
    headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
}

const withKey = (key = KEYS[0]) => ({ authorization: `Bearer ${key}` });

/** Bodies that generate, by route. */
const messages = [{ role: 'user', content: 'Hello' }];
const GENERATING = {
  '/v1/completions': { model: 'tiny', prompt: 'Hello', max_tokens: 4, ignore_eos: true },
  '/v1/chat/completions': { model: 'tiny', messages, max_tokens: 4, ignore_eos: true },
  '/v1/responses': { model: 'tiny', input: 'Hello', max_output_tokens: 4 },
  '/v1/messages': { model: 'tiny', messages, max_tokens: 4 },
} as const;

describe('keys', () => {
  suite.test(
    'every route but the open ones is 401 without a right key, and something else with one',
    async (server) => {
      expect(routes.length).toBeGreaterThan(25);
      for (const { method, path } of routes) {
        const isOpen = OPEN.includes(path);
        const wrong = [
          {},
          withKey('wrong'),
          { authorization: `Basic ${KEYS[0]}` },
          withKey(`${KEYS[0]}x`),
          withKey(''),
        ];
        for (const headers of wrong) {
          const response = await ask(server, method, path, headers);
          expect([method, path, response.status === 401]).toEqual([method, path, !isOpen]);
          if (isOpen) continue;
          const { error } = (await response.json()) as { error: { type: string; code?: number } };
          expect([path, /authentication/i.test(error.type)]).toEqual([path, true]);
        }
        for (const key of KEYS) {
          const { status } = await ask(server, method, path, withKey(key));
          expect([method, path, status === 401, status < 500]).toEqual([method, path, false, true]);
        }
      }
      expect((await ask(server, 'GET', '/nowhere')).status).toBe(401);
      expect((await ask(server, 'GET', '/nowhere', withKey())).status).toBe(404);
      expect(server.stderrLines.filter((line) => KEYS.some((key) => line.includes(key)))).toEqual([]);
    },
  );
});

describe('request ids', () => {
  suite.test("every route gives the client's id back, or one of its own", async (server) => {
    for (const { method, path } of routes) {
      const given = await ask(server, method, path, { ...withKey(), 'x-request-id': 'my-id-1' });
      expect([path, given.headers.get('x-request-id')]).toEqual([path, 'my-id-1']);
      const own = (await ask(server, method, path, withKey())).headers.get('x-request-id');
      expect([path, /^[\x21-\x7e]{16,}$/.test(own ?? '')]).toEqual([path, true]);
    }
    const refused = await ask(server, 'POST', '/v1/completions', { 'x-request-id': 'my-id-2' });
    expect([refused.status, refused.headers.get('x-request-id')]).toEqual([401, 'my-id-2']);
  });

  suite.test('answers, whole and streamed, have the id in their own id', async (server) => {
    for (const [path, body] of Object.entries(GENERATING)) {
      for (const stream of [false, true]) {
        const id = `joined-${stream}`;
        const response = await ask(server, 'POST', path, { ...withKey(), 'x-request-id': id }, { ...body, stream });
        expect([path, response.status, response.headers.get('x-request-id')]).toEqual([path, 200, id]);
        // The other two protocols have ids of a form of their own.
        const isOpenai = path.endsWith('completions');
        expect([path, (await response.text()).includes(`cmpl-${id}`)]).toEqual([path, isOpenai]);
      }
    }
  });
});

describe('a context that does not suffice', () => {
  suite.test('is 400 with the field, on every route that generates, whole and streamed', async (server) => {
    const long = 'word '.repeat(400);
    const bodies: readonly [keyof typeof GENERATING, string, object][] = [
      ['/v1/completions', 'prompt', { prompt: long }],
      ['/v1/chat/completions', 'messages', { messages: [{ role: 'user', content: long }] }],
      ['/v1/responses', 'input', { input: long }],
      ['/v1/messages', 'messages', { messages: [{ role: 'user', content: long }] }],
    ];
    for (const [path, field, change] of bodies) {
      for (const stream of [false, true]) {
        const body = { ...GENERATING[path], ...change, stream };
        const response = await ask(server, 'POST', path, withKey(), body);
        const { error } = (await response.json()) as { error: { message: string; param?: string | null } };
        // Anthropic's errors name no field.
        const named = path === '/v1/messages' ? undefined : field;
        expect([path, stream, response.status, error.param]).toEqual([path, stream, 400, named]);
        expect(error.message).toContain('maximum context length');
      }
    }
  });

  suite.test('for all tokens that are allowed ends with length where it is full', async (server) => {
    for (const path of ['/v1/completions', '/v1/chat/completions'] as const) {
      const body = { ...GENERATING[path], max_tokens: 100_000 };
      const response = await ask(server, 'POST', path, withKey(), body);
      const answer = (await response.json()) as {
        choices: { finish_reason: string }[];
        usage: { total_tokens: number };
      };
      expect([answer.choices[0]?.finish_reason, answer.usage.total_tokens]).toEqual(['length', server.contextTokens]);
    }
  });
});

describe('figures', () => {
  const COUNTERS = ['prompt_tokens_total', 'generation_tokens_total', 'iteration_tokens_total_count'];

  /** All series with their labels. */
  async function page(server: ServerProcess): Promise<Map<string, number>> {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }),
    );
  }

  /** The sum of all series of a name whose labels match. */
  function sum(series: ReadonlyMap<string, number>, name: string, labels = ''): number {
    const found = [...series].filter(([key]) => key.startsWith(`${name}{`) && key.includes(labels));
    if (found.length === 0) throw new Error(`there is no series ${name} with ${labels}`);
    return found.reduce((total, [, value]) => total + value, 0);
  }

  suite.test("add up after traffic, under vLLM's names", async (server) => {
    const before = await page(server);
    let promptTokens = 0;
    let completionTokens = 0;
    let numSequences = 0;
    const requests = [
      ...Array.from({ length: 5 }, (_, i) => ({ max_tokens: 3 + i })),
      { n: 3, max_tokens: 6 },
      { prompt: ['a b', 'c'], max_tokens: 2 },
    ];
    await Promise.all(
      requests.map(async (change) => {
        const body = { ...GENERATING['/v1/completions'], ...change };
        const answer = (await (await ask(server, 'POST', '/v1/completions', withKey(), body)).json()) as {
          choices: object[];
          usage: { prompt_tokens: number; completion_tokens: number };
        };
        // Every choice has the prompt computed, or found, once more.
        promptTokens += answer.usage.prompt_tokens * ('n' in change ? change.n : 1);
        completionTokens += answer.usage.completion_tokens;
        numSequences += answer.choices.length;
      }),
    );
    const refused = await ask(server, 'POST', '/v1/completions', withKey(), { model: 'tiny', prompt: 1.5 });
    expect(refused.status).toBe(400);
    await until(async () => (await server.metric('num_requests_running')) === 0);

    const after = await page(server);
    const grown = (name: string, labels = '') => sum(after, name, labels) - sum(before, name, labels);
    for (const name of COUNTERS) expect(grown(`vllm:${name}`)).toBeGreaterThan(0);
    expect(grown('vllm:prompt_tokens_total')).toBe(promptTokens);
    expect(grown('vllm:generation_tokens_total')).toBe(completionTokens);
    expect(grown('vllm:request_success_total', 'finished_reason="length"')).toBe(numSequences);
    expect(grown('vllm:request_success_total')).toBe(numSequences);
    expect(grown('vllm:request_generation_tokens_sum')).toBe(completionTokens);
    expect(grown('vllm:request_generation_tokens_count')).toBe(numSequences);
    // A step takes the prompt tokens that are not cached, and one token for each but the first of a sequence.
    const cached = grown('vllm:prefix_cache_hits_total');
    expect(grown('vllm:iteration_tokens_total_sum')).toBe(promptTokens - cached + completionTokens - numSequences);
    for (const name of ['time_to_first_token_seconds', 'e2e_request_latency_seconds', 'request_params_n']) {
      expect([name, grown(`vllm:${name}_count`)]).toEqual([name, requests.length]);
    }
    expect(grown('vllm:request_params_n_sum')).toBe(requests.length + 2);
    expect(grown('vllm:prompt_tokens_by_source_total')).toBe(promptTokens);
    // Tokens that come together with the first one have no time between them.
    expect(grown('vllm:inter_token_latency_seconds_count')).toBeLessThanOrEqual(completionTokens - numSequences);
    const route = 'handler="/v1/completions",method="POST"';
    expect(grown('http_requests_total', `${route},status="2xx"`)).toBe(requests.length);
    expect(grown('http_requests_total', route)).toBe(requests.length + 1);
    expect(grown('http_request_duration_seconds_count', route)).toBe(requests.length + 1);
    for (const gauge of ['num_requests_running', 'num_requests_waiting', 'kv_cache_usage_perc']) {
      expect([gauge, sum(after, `vllm:${gauge}`)]).toEqual([gauge, 0]);
    }
    // Every bucket of a histogram counts those below it too; the last one counts all.
    for (const [key, value] of after) {
      if (!key.includes('le="+Inf"')) continue;
      const count = key.replace('_bucket{', '_count{').replace(/,?le="\+Inf"/, '');
      expect([key, after.get(count)]).toEqual([key, value]);
    }
  });

  /** Source: the series of vLLM's own page that its dashboards, autoscalers and routers read. */
  const NAMES: Readonly<Record<'gauge' | 'counter' | 'histogram', readonly string[]>> = {
    gauge: [
      'num_requests_running',
      'num_requests_waiting',
      'num_requests_waiting_by_reason',
      'kv_cache_usage_perc',
      'engine_sleep_state',
      'lora_requests_info',
      'cache_config_info',
    ],
    counter: [
      ...['prefix_cache_queries', 'prefix_cache_hits', 'external_prefix_cache_queries', 'external_prefix_cache_hits'],
      ...['mm_cache_queries', 'mm_cache_hits', 'num_preemptions', 'prompt_tokens', 'prompt_tokens_by_source'],
      ...['prompt_tokens_cached', 'generation_tokens', 'request_success', 'corrupted_requests', 'admission_rejections'],
    ].map((name) => `${name}_total`),
    histogram: [
      ...['time_to_first_token_seconds', 'inter_token_latency_seconds', 'request_time_per_output_token_seconds'],
      ...['e2e_request_latency_seconds', 'request_queue_time_seconds', 'request_inference_time_seconds'],
      ...['request_prefill_time_seconds', 'request_decode_time_seconds', 'request_prompt_tokens'],
      ...['request_generation_tokens', 'request_max_num_generation_tokens', 'request_params_max_tokens'],
      ...['request_prefill_kv_computed_tokens', 'request_params_n', 'iteration_tokens_total'],
    ],
  };

  suite.test("have vLLM's names, types and labels", async (server) => {
    const response = await fetch(`${server.url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await response.text();
    for (const [kind, names] of Object.entries(NAMES)) {
      for (const name of names) {
        expect([name, text.includes(`# TYPE vllm:${name} ${kind}\n`)]).toEqual([name, true]);
        const first = text.split('\n').find((line) => line.startsWith(`vllm:${name}`) && !line.startsWith('#')) ?? '';
        expect([name, first.includes('model_name="tiny"'), first.includes('engine="0"')]).toEqual([name, true, true]);
      }
    }
    const routing = await (await fetch(`${server.url}/metrics/routing`)).text();
    expect(routing.length).toBeLessThan(1024);
  });
});
