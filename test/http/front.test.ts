/** What every request meets beside its route: request ids, web pages of other origins, the path in front, keys, figures. */
import { describe, expect, test } from 'bun:test';
import type { CorsConfig } from '../../src/config/server-config.ts';
import { says, testApp } from '../helpers/test-app.ts';

const chatBody = { messages: [{ role: 'user', content: 'hi' }] };
const http = {
  rootPath: '',
  healthCheckPath: '/ping',
  enableRequestIdHeaders: false,
  hasApiDocs: true,
  enableTokenizerInfoEndpoint: false,
};

describe('X-Request-Id', () => {
  test('a generation answers with the id that came, in its header and its own id', async () => {
    const { post } = testApp(says('a'));
    const response = await post('/v1/chat/completions', chatBody, { headers: { 'x-request-id': 'mine-1' } });
    expect(response.headers.get('x-request-id')).toBe('mine-1');
    expect(((await response.json()) as { id: string }).id).toBe('chatcmpl-mine-1');
  });

  test('an id that is no id is not taken over', async () => {
    const { post } = testApp(says('a'));
    for (const id of ['two words', 'ü', 'x'.repeat(257)]) {
      const response = await post('/v1/chat/completions', { ...chatBody, request_id: id });
      expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test('every answer has one where it is asked for, errors too', async () => {
    const { get, post } = testApp(says('a'), { settings: { http: { ...http, enableRequestIdHeaders: true } } });
    expect((await get('/version', { 'x-request-id': 'mine' })).headers.get('x-request-id')).toBe('mine');
    expect((await get('/nowhere')).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(
      (await post('/v1/completions', '{', { headers: { 'x-request-id': 'bad' } })).headers.get('x-request-id'),
    ).toBe('bad');
  });

  test('nothing else has one where it is not', async () => {
    const { get } = testApp(says('a'));
    expect((await get('/version', { 'x-request-id': 'mine' })).headers.has('x-request-id')).toBe(false);
  });
});

describe('web pages of other origins', () => {
  const any: CorsConfig = {
    allowedOrigins: ['*'],
    allowedMethods: ['*'],
    allowedHeaders: ['*'],
    allowCredentials: false,
  };
  const ask = (cors: CorsConfig, headers: Record<string, string>, apiKeys: string[] = []): Promise<Response> =>
    testApp(says('a'), { settings: { cors, apiKeys } }).app.handle(
      new Request('http://localhost/v1/chat/completions', { method: 'OPTIONS', headers }),
    );
  const question = {
    origin: 'https://page.example',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, content-type',
  };

  test('a preflight is answered without a key', async () => {
    const response = await ask(any, question, ['secret']);
    expect(response.status).toBe(200);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('access-control-allow-methods')).toContain('POST');
    expect(response.headers.get('access-control-allow-headers')).toBe('authorization, content-type');
    expect(response.headers.has('access-control-allow-credentials')).toBe(false);
  });

  test('named origins, methods and headers are the only ones', async () => {
    const cors = {
      allowedOrigins: ['https://page.example'],
      allowedMethods: ['GET'],
      allowedHeaders: ['X-Own'],
      allowCredentials: true,
    };
    const get = { origin: 'https://page.example', 'access-control-request-method': 'GET' };
    const good = await ask(cors, { ...get, 'access-control-request-headers': 'x-own, content-type' });
    expect(good.status).toBe(200);
    expect(good.headers.get('access-control-allow-origin')).toBe('https://page.example');
    expect(good.headers.get('access-control-allow-credentials')).toBe('true');
    expect(good.headers.get('vary')).toBe('Origin');
    const other = await ask(cors, { ...get, origin: 'https://other.example' });
    expect([other.status, await other.text()]).toEqual([400, 'Disallowed CORS origin']);
    expect(other.headers.has('access-control-allow-origin')).toBe(false);
    expect((await ask(cors, question)).status).toBe(400);
    expect((await ask(cors, { ...get, 'access-control-request-headers': 'authorization' })).status).toBe(400);
  });

  test('credentials go with a named origin, never with *', async () => {
    const response = await ask({ ...any, allowCredentials: true }, question);
    expect(response.headers.get('access-control-allow-origin')).toBe('https://page.example');
  });

  test('answers and errors carry the header, streams too; requests of no page do not', async () => {
    const { get, post } = testApp(says('a'), { settings: { cors: any, apiKeys: ['key'] } });
    const origin = { origin: 'https://page.example' };
    const refused = await get('/v1/models', origin);
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, '*']);
    const stream = await post(
      '/v1/chat/completions',
      { ...chatBody, stream: true },
      {
        headers: { ...origin, authorization: 'Bearer key' },
      },
    );
    expect([stream.status, stream.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
    expect(stream.headers.get('access-control-expose-headers')).toContain('X-Request-Id');
    expect((await get('/health')).headers.has('access-control-allow-origin')).toBe(false);
  });

  test('an OPTIONS that is no preflight, and a server without the setting, know no such thing', async () => {
    expect((await ask(any, { origin: 'https://page.example' })).status).toBe(404);
    const { app } = testApp(says('a'));
    const response = await app.handle(
      new Request('http://localhost/v1/models', { method: 'OPTIONS', headers: question }),
    );
    expect(response.status).toBe(404);
  });
});

describe('the path in front', () => {
  test('all routes answer below it and without it, and keys hold', async () => {
    const { get, post } = testApp(says('hello'), {
      settings: { http: { ...http, rootPath: '/llm' }, apiKeys: ['key'] },
    });
    const headers = { authorization: 'Bearer key' };
    expect((await get('/llm/v1/models', headers)).status).toBe(200);
    expect((await get('/v1/models', headers)).status).toBe(200);
    expect((await get('/llm/v1/models')).status).toBe(401);
    expect((await get('/llm/health')).status).toBe(200);
    expect((await get('/llmx/v1/models', headers)).status).toBe(404);
    const answer = await post('/llm/v1/chat/completions', chatBody, { headers });
    expect(JSON.stringify(await answer.json())).toContain('hello');
  });

  test('a rewritten request still finds its connection', async () => {
    const known: string[] = [];
    const { post } = testApp(says('hello'), {
      settings: { http: { ...http, rootPath: '/llm' } },
      setIdleTimeout: (request) => known.push(new URL(request.url).pathname),
    });
    await post('/llm/v2/any/openai/v1/chat/completions', chatBody);
    expect(known).toEqual(['/llm/v2/any/openai/v1/chat/completions']);
  });
});

test('another health check path answers as /ping does, unless it is a route already', async () => {
  const own = testApp(says('a'), { settings: { http: { ...http, healthCheckPath: '/up' }, apiKeys: ['key'] } });
  own.engine.setState('loading');
  expect((await own.get('/up')).status).toBe(204);
  expect((await own.get('/down')).status).toBe(401);
  const route = testApp(says('a'), { settings: { http: { ...http, healthCheckPath: '/v1/models' } } });
  expect(await (await route.get('/v1/models')).json()).toMatchObject({ object: 'list' });
});

test('/tokenizer_info is there only where the setting says so', async () => {
  const { get } = testApp(says('a'), { settings: { http } });
  expect((await get('/tokenizer_info')).status).toBe(404);
  const other = testApp(says('a'), { settings: { http: { ...http, enableTokenizerInfoEndpoint: true } } });
  expect((await other.get('/tokenizer_info')).status).toBe(200);
});

test('routes are found whatever the host is called, over https too', async () => {
  for (const [scheme, hosts] of [
    ['http', ['a', 'llm', 'localhost:8000', '[::1]:80']],
    ['https', ['llm', '127.0.0.1:8443']],
  ] as const) {
    const { app } = testApp(says('a'), { settings: { isHttps: scheme === 'https' } });
    for (const host of hosts) expect((await app.handle(new Request(`${scheme}://${host}/health`))).status).toBe(200);
  }
});

test('requests are counted by route, never by path', async () => {
  const { get, post } = testApp(says('a'));
  await post('/v1/chat/completions', chatBody);
  await post('/v1/chat/completions', '{');
  await get('/v1/responses/resp_1');
  await get('/v1/responses/resp_2');
  await get('/some/thing');
  await get('/health');
  const text = await (await get('/metrics')).text();
  expect(text).toContain('http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"} 1\n');
  expect(text).toContain('http_requests_total{handler="/v1/chat/completions",method="POST",status="4xx"} 1\n');
  expect(text).toContain('http_requests_total{handler="/v1/responses/:id",method="GET",status="4xx"} 2\n');
  expect(text).toContain('http_requests_total{handler="none",method="GET",status="4xx"} 1\n');
  expect(text).not.toContain('/health');
  expect(text).toContain('http_request_duration_seconds_count{handler="none",method="GET"} 1\n');
});
