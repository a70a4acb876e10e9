/**
 * SIGTERM with time for balancers, with no time for what runs, and with some. Each server is stopped by its test.
 *
 * A stopped (not ended) engine process holds what runs at one place, so that no moment depends on the machine. What a server without a
 * delay does is in `faults.test.ts`.
 */
import { afterAll, describe, expect } from 'bun:test';
import { connect, type Socket } from 'node:net';
import { longContextModel } from '../helpers/long-context.ts';
import { type ServerProcess, until } from '../helpers/server-process.ts';
import { openStream, textOf } from './sse.ts';
import { serverSuite, tinyModel } from './suite.ts';

const short = { prompt: 'Hello', max_tokens: 40, temperature: 0, ignore_eos: true };

function engineOf(server: ServerProcess): number {
  const pid = server.enginePid();
  if (pid === null) throw new Error('there is no engine process');
  return pid;
}

function complete(server: ServerProcess, body: object): Promise<Response> {
  return fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** A connection that is kept for later requests, as balancers have them. */
class RawConnection {
  private received = '';
  private isOver = false;

  private constructor(private readonly socket: Socket) {
    socket.on('data', (bytes: Buffer) => {
      this.received += bytes.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isOver = true;
    });
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RawConnection(socket);
  }

  /** The status of a request sent now; null when the connection was closed in place of an answer. */
  async statusOf(method: 'GET' | 'POST', path: string, body = ''): Promise<number | null> {
    this.received = '';
    this.socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => this.isOver || this.received.includes('\r\n\r\n'));
    const status = /^HTTP\/1\.1 (\d+)/.exec(this.received)?.[1];
    return status === undefined ? null : Number(status);
  }
}

/** The last error event of a stream, and the reasons for which its choices ended. */
function endOf(frames: readonly string[]): { code: number | undefined; reasons: (string | null | undefined)[] } {
  const events = frames
    .filter((frame) => frame !== '[DONE]')
    .map((frame) => JSON.parse(frame) as { error?: { code: number }; choices?: { finish_reason: string | null }[] });
  const reasons = events.map((event) => event.choices?.[0]?.finish_reason).filter((reason) => reason != null);
  return { code: events.at(-1)?.error?.code, reasons };
}

describe('with DRAIN_DELAY', () => {
  // Long enough for a handful of requests on a busy machine.
  const suite = serverSuite({ MODEL_NAME: tinyModel('tiny-llama'), DRAIN_DELAY: '6', SHUTDOWN_TIMEOUT: '60' });

  suite.test(
    'readiness says no at once, requests are taken, then refused, and all that was taken is finished',
    async (server) => {
      const whole = textOf(await (await openStream(server.url, short)).frames);
      const kept = await RawConnection.open(server.port);
      expect(await kept.statusOf('GET', '/health')).toBe(200);
      const running = await openStream(server.url, short);
      await running.firstToken;
      const engine = engineOf(server);
      process.kill(engine, 'SIGSTOP');
      try {
        process.kill(server.pid, 'SIGTERM');
        await server.waitForLine(/readiness says no/);
        const statuses = ['/health', '/ready', '/ping', '/live'].map(async (path) => {
          const { status, headers } = await fetch(`${server.url}${path}`);
          return [path, status, headers.get('connection')];
        });
        expect(await Promise.all(statuses)).toEqual([
          ['/health', 503, 'close'],
          ['/ready', 503, 'close'],
          ['/ping', 503, 'close'],
          ['/live', 200, 'close'],
        ]);
      } finally {
        process.kill(engine, 'SIGCONT');
      }
      // Balancers that have not noticed still get answers.
      const taken = await complete(server, short);
      expect([taken.status, taken.headers.get('connection')]).toEqual([200, 'close']);
      const [late, alsoRunning] = await Promise.all([openStream(server.url, short), running.frames]);
      await late.firstToken;
      expect(textOf(alsoRunning)).toBe(whole);
      process.kill(engine, 'SIGSTOP');
      const pending = complete(server, short);
      try {
        await until(async () => (await server.metric('num_requests_waiting').catch(() => 1)) > 0);
        await server.waitForLine(/new ones are refused/);
        const refused = await complete(server, short);
        expect([refused.status, Number(refused.headers.get('retry-after')) > 0]).toEqual([503, true]);
        // What is left of old connections gets the same, or nothing; never a generation.
        expect([503, null]).toContain(await kept.statusOf('POST', '/v1/completions', JSON.stringify(short)));
        expect((await fetch(`${server.url}/live`)).status).toBe(200);
      } finally {
        process.kill(engine, 'SIGCONT');
      }
      expect(textOf(await late.frames)).toBe(whole);
      const answer = (await (await pending).json()) as { choices: { text: string }[] };
      expect(answer.choices[0]?.text).toBe(whole);
      expect(await server.exited).toBe(0);
    },
  );
});

describe.each([
  ['without waiting for what runs', '0'],
  ['with too little time for what runs', '1'],
])('%s', (_, SHUTDOWN_TIMEOUT) => {
  const longContext = longContextModel();
  const suite = serverSuite({ ...longContext.env, SHUTDOWN_TIMEOUT });
  afterAll(longContext.remove);
  const endless = { ...short, max_tokens: 10_000 };

  suite.test('streams end with an error event, whole answers with 503, and the exit code is 0', async (server) => {
    const streams = await Promise.all([openStream(server.url, endless), openStream(server.url, endless)]);
    await Promise.all(streams.map((stream) => stream.firstToken));
    const whole = complete(server, endless);
    await until(async () => (await server.metric('num_requests_running')) === 3);
    process.kill(server.pid, 'SIGTERM');
    for (const stream of streams) {
      const frames = await stream.frames;
      expect([stream.status, frames.at(-1)]).toEqual([200, '[DONE]']);
      expect(endOf(frames)).toEqual({ code: 503, reasons: ['abort'] });
    }
    const answer = await whole;
    expect([answer.status, ((await answer.json()) as { error: { type: string } }).error.type]).toEqual([
      503,
      'ServiceUnavailableError',
    ]);
    expect(await server.exited).toBe(0);
    expect(server.stderrLines.some((line) => line.includes('Time is up'))).toBe(true);
  });
});
