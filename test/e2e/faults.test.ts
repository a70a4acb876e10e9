/**
 * The engine's process is killed, and the server is asked to stop, while streams run. The order matters: one server, stopped last.
 *
 * A stopped (not ended) engine process makes the moments certain without waiting for any time to pass.
 */
import { expect } from 'bun:test';
import { type ServerProcess, until } from '../helpers/server-process.ts';
import { openStream, textOf } from './sse.ts';
import { serverSuite, tinyModel } from './suite.ts';

const suite = serverSuite({ MODEL_NAME: tinyModel('tiny-llama') });
const long = { prompt: 'Hello', max_tokens: 120, temperature: 0, ignore_eos: true };

function engineOf(server: ServerProcess): number {
  const pid = server.enginePid();
  if (pid === null) throw new Error('there is no engine process');
  return pid;
}

async function healthOf(server: ServerProcess): Promise<number> {
  return (await fetch(`${server.url}/health`)).status;
}

suite.test('kill -9 of the engine ends its streams with an error, and serving goes on', async (server) => {
  const before = await (await openStream(server.url, long)).frames;
  const streams = await Promise.all(Array.from({ length: 8 }, () => openStream(server.url, long)));
  await Promise.all(streams.map((stream) => stream.firstToken));
  const killed = engineOf(server);
  process.kill(killed, 'SIGKILL');

  for (const stream of streams) {
    const frames = await stream.frames;
    expect(stream.status).toBe(200);
    expect(frames.at(-1)).toBe('[DONE]');
    const { error } = JSON.parse(frames.at(-2) ?? '{}') as { error?: { code: number; message: string; type: string } };
    expect([error?.code, error?.type]).toEqual([500, 'InternalServerError']);
    // What was said before the fault is the beginning of what would have been said.
    expect(textOf(before).startsWith(textOf(frames))).toBe(true);
  }
  expect(await healthOf(server)).toBe(503);
  const refused = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(long),
  });
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);

  await until(async () => (await healthOf(server)) === 200);
  expect(engineOf(server)).not.toBe(killed);
  expect(await (await openStream(server.url, long)).frames.then(textOf)).toBe(textOf(before));
  await until(async () => (await server.metric('kv_cache_usage_perc')) === 0);
});

suite.test('SIGTERM: what runs finishes, new requests get 503, the exit code is 0', async (server) => {
  const whole = textOf(await (await openStream(server.url, long)).frames);
  const running = await openStream(server.url, long);
  await running.firstToken;
  const engine = engineOf(server);
  process.kill(engine, 'SIGSTOP');
  try {
    process.kill(server.pid, 'SIGTERM');
    await server.waitForLine(/^Stopping/);
    expect(await healthOf(server)).toBe(503);
    const refused = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'a', max_tokens: 1 }),
    });
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();
  } finally {
    process.kill(engine, 'SIGCONT');
  }
  const frames = await running.frames;
  expect(frames.at(-1)).toBe('[DONE]');
  expect(textOf(frames)).toBe(whole);
  expect(await server.exited).toBe(0);
});
