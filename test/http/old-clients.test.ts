/** Requests whose host is missing or no host: HTTP/1.0, as HAProxy's plain health check sends it. */
import { afterAll, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { listen, setIdleTimeout } from '../../src/runtime/serve.ts';
import { echoes, testApp } from '../helpers/test-app.ts';

const { app } = testApp(echoes, { setIdleTimeout });
const server = listen(app, { host: '127.0.0.1', port: 0, maxRequestBodyBytes: 1 << 20 });
afterAll(() => server.stop(true));

async function answerTo(text: string): Promise<string> {
  const socket = connect(server.port, '127.0.0.1');
  socket.write(text);
  let answer = '';
  for await (const part of socket) answer += String(part);
  return answer;
}

test.each([
  ['no host', 'GET /health HTTP/1.0\r\n\r\n', 200],
  ['a method that is rare', 'OPTIONS /health HTTP/1.0\r\n\r\n', 404],
  ['a query', 'GET /health?from=proxy HTTP/1.0\r\n\r\n', 200],
  ['two slashes', 'GET //health HTTP/1.0\r\n\r\n', 404],
  ['an empty host', 'GET /health HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n', 200],
  ['a host with a space', 'GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', 200],
  ['a host that is none', 'GET /health HTTP/1.1\r\nHost: ]:x\r\nConnection: close\r\n\r\n', 200],
])('%s', async (_, request, status) => {
  expect(await answerTo(request)).toStartWith(`HTTP/1.1 ${status} `);
});

test('a body is read all the same', async () => {
  const body = JSON.stringify({ prompt: 'hello', max_tokens: 9 });
  const head = `POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
  const answer = await answerTo(`${head}\r\n\r\n${body}`);
  expect(answer).toStartWith('HTTP/1.1 200 ');
  expect(answer).toContain('"text":"hello"');
});
