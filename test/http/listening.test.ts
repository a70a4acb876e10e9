/** What only a real connection shows: bodies without a length, readers that stall, and the end of listening. */
import { afterEach, expect, test } from 'bun:test';
import { connect, type Socket } from 'node:net';
import { streamedResponse } from '../../src/routes/generation.ts';
import { type HttpHandler, type Listening, listen, setIdleTimeout } from '../../src/runtime/serve.ts';
import { echoes, says, testApp } from '../helpers/test-app.ts';

const open: Listening[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(open.splice(0).map((server) => server.stop(true)));
});

function serve(handler: HttpHandler, maxRequestBodyBytes = 1 << 20): Listening {
  const server = listen(handler, { host: '127.0.0.1', port: 0, maxRequestBodyBytes });
  open.push(server);
  return server;
}

async function dial({ port }: Listening): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** Everything that comes until the other side closes. */
async function read(socket: Socket): Promise<string> {
  let text = '';
  for await (const part of socket) text += String(part);
  return text;
}

/** A POST whose body comes in one chunk without a declared length. */
function chunkedPost(path: string, body: string): string {
  const head = ['POST', path, 'HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json'];
  const size = Buffer.byteLength(body).toString(16);
  return `${head.join(' ')}\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${body}\r\n0\r\n\r\n`;
}

test('a chunked body is read, and refused beyond the limit with our own error', async () => {
  const { app } = testApp(echoes, { settings: { maxRequestBodyBytes: 200 } });
  const server = serve(app, 10_000);
  const answerTo = async (prompt: string): Promise<string> => {
    const socket = await dial(server);
    socket.write(chunkedPost('/v1/completions', JSON.stringify({ prompt })));
    return read(socket);
  };
  expect(await answerTo('hello')).toContain('"text":"hello"');
  const refused = await answerTo('x'.repeat(300));
  expect(refused).toStartWith('HTTP/1.1 413');
  expect(refused).toContain('PayloadTooLargeError');
  // Far beyond the limit the server reads no further.
  expect(await answerTo('x'.repeat(20_000))).toStartWith('HTTP/1.1 413');
});

test('other content types are refused, chunked or not', async () => {
  const { app } = testApp(says('a'));
  const socket = await dial(serve(app));
  socket.write(chunkedPost('/v1/completions', '{"prompt":"a"}').replace('application/json', 'text/plain'));
  const answer = await read(socket);
  expect(answer).toStartWith('HTTP/1.1 400');
  expect(answer).toContain("Only 'application/json' is allowed");
});

test('a reader that stalls is cut off and what it asked for is ended', async () => {
  const { deps } = testApp(says('a'), { setIdleTimeout, slowReaderTimeoutMs: 100 });
  let numMade = 0;
  let isEnded = false;
  const left = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  async function* endless(): AsyncGenerator<string> {
    try {
      for (; !isEnded; numMade++) {
        yield `data: ${'x'.repeat(10_000)}\n\n`;
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      left.resolve();
    }
  }
  const server = serve({
    fetch(request) {
      request.signal.addEventListener('abort', () => gone.resolve());
      return streamedResponse(deps, request, endless(), {}, () => {
        isEnded = true;
      });
    },
  });
  const socket = await dial(server);
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await left.promise;
  expect(isEnded).toBe(true);
  // What the system's buffers take, and the bound of the queue: not what could have been made.
  expect(numMade * 10_000).toBeLessThan(32 << 20);
  await gone.promise;
}, 30_000);

test('a server that stops takes no connection, closes idle ones and finishes answers', async () => {
  const release = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const server = serve({
    async fetch(request) {
      if (new URL(request.url).pathname === '/slow') {
        arrived.resolve();
        await release.promise;
      }
      return new Response('done');
    },
  });
  const slow = fetch(`http://127.0.0.1:${server.port}/slow`);
  await arrived.promise;
  const stopped = server.stop(false);
  await expect(fetch(`http://127.0.0.1:${server.port}/`)).rejects.toThrow();
  release.resolve();
  expect(await (await slow).text()).toBe('done');
  await stopped;
});
