/** The engine behind a socket, with real child processes: requests, faults, restarts, ends. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RemoteEngine } from '../../../src/engine/host/client.ts';
import type { EngineProgress } from '../../../src/engine/host/local-engine-contract.ts';
import { EngineError, type EngineState } from '../../../src/engine/types.ts';
import { fakeInfo, Special } from './fake-engine.ts';
import { collect, makeRequest, nextState, startFake } from './fixtures.ts';

/** Starting processes is slow on a busy machine; nothing here measures time. */
setDefaultTimeout(60_000);

const local = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const open: RemoteEngine[] = [];
const folders: string[] = [];

/** Started engines are closed after each test, whatever its result. */
function start(...args: Parameters<typeof startFake>): RemoteEngine {
  const engine = startFake(...args);
  open.push(engine);
  return engine;
}

function makeJournal(): string {
  const folder = mkdtempSync(join(tmpdir(), 'wgslm-test-'));
  folders.push(folder);
  return join(folder, 'journal');
}

function recordStates(engine: RemoteEngine): EngineState[] {
  const states: EngineState[] = [];
  engine.onStateChange((state) => states.push(state));
  return states;
}

/** True until the process has ended; an ended one that nobody has waited for counts as ended. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((engine) => engine.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describe('requests', () => {
  test('load with progress, answer, and close', async () => {
    const progress: EngineProgress[] = [];
    const engine = start({}, { onProgress: (value) => progress.push(value) });
    expect(engine.state).toBe('loading');
    expect(() => engine.generate(makeRequest('early', [1]))).toThrow(expect.objectContaining({ code: 'engine-dead' }));
    expect(await engine.ready()).toEqual(fakeInfo);
    expect(engine.info).toEqual(fakeInfo);
    expect(progress.map(({ fraction }) => fraction)).toEqual([0.5, 1]);

    const end = await collect(engine.generate(makeRequest('a', [10], { maxTokens: 3 })));
    expect(end).toEqual({ tokenIds: [10, 11, 12], finishReason: 'length', error: null });
    expect(engine.stats()).toMatchObject({ numSteps: 3, numRunning: 0, hostStepMs: 0.25 });

    const { pid } = engine;
    await engine.close();
    expect(engine.state).toBe('closed');
    expect(pid === null || isAlive(pid)).toBe(false);
    expect(() => engine.generate(makeRequest('late', [1]))).toThrow(expect.objectContaining({ code: 'draining' }));
  });

  test('every field of an event arrives', async () => {
    const engine = start();
    await engine.ready();
    const stream = engine.generate(makeRequest('a', [Special.logprobs], { maxTokens: 1 }));
    const logprobs = { logprob: -0.5, top: [{ tokenId: 7, logprob: -0.5 }] };
    expect((await stream.next()).value).toEqual([{ tokenId: 7, logprobs, finishReason: 'stop', stopTokenId: 14 }]);
    expect((await stream.next()).done).toBe(true);
  });

  test('256 streams at once, and one that nobody reads', async () => {
    const engine = start();
    await engine.ready();
    const unread = engine.generate(makeRequest('unread', [500], { maxTokens: 200 }));
    const ends = Array.from({ length: 256 }, (_, index) =>
      collect(engine.generate(makeRequest(`r${index}`, [index], { maxTokens: 100 }))),
    );
    for (const [index, end] of (await Promise.all(ends)).entries()) {
      expect(end.error).toBeNull();
      expect(end.tokenIds).toEqual(Array.from({ length: 100 }, (_, offset) => index + offset));
    }
    expect((await collect(unread)).tokenIds).toHaveLength(200);
  });

  test('a long prompt goes through whole', async () => {
    const engine = start();
    await engine.ready();
    const prompt = new Uint32Array(500_000).fill(3);
    const request = { ...makeRequest('long', []), promptTokenIds: prompt };
    expect((await collect(engine.generate(request))).tokenIds[0]).toBe(3);
  });

  test('abort and leaving free the request in the engine', async () => {
    const engine = start({}, { limits: { heartbeatIntervalMs: 10 } });
    await engine.ready();
    const aborted = engine.generate(makeRequest('a', [Special.stall]));
    const left = engine.generate(makeRequest('b', [Special.stall]));
    await aborted.next();
    await left.next();
    engine.abort('a');
    engine.abort('unknown');
    await left.return?.();
    expect((await collect(aborted)).finishReason).toBe('abort');
    // Pongs carry the stats of an engine that rests.
    while (engine.stats().numRunning !== 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(engine.stats().numFreeBlocks).toBe(fakeInfo.numBlocks);
  });

  test('a refusal and a failure end one request alone', async () => {
    const engine = start();
    await engine.ready();
    const good = collect(engine.generate(makeRequest('good', [1], { maxTokens: 50 })));
    const refused = await collect(engine.generate(makeRequest('refused', [Special.refused])));
    const failed = await collect(engine.generate(makeRequest('failed', [Special.failsAlone])));
    expect(refused.error).toMatchObject({ code: 'overloaded', message: 'the queue is full' });
    expect(failed.error).toMatchObject({ code: 'gpu-error', message: 'this one failed' });
    expect((await good).finishReason).toBe('length');
    expect(() => engine.generate(makeRequest('bad', [-1]))).toThrow(
      expect.objectContaining({ code: 'invalid-request' }),
    );
    expect(engine.state).toBe('ready');
  });

  test('close ends open streams with abort', async () => {
    const engine = start();
    await engine.ready();
    const end = collect(engine.generate(makeRequest('a', [Special.stall])));
    await engine.close();
    expect((await end).finishReason).toBe('abort');
  });
});

describe('faults', () => {
  test('kill -9 in the middle of streams: each throws once, then a new process serves', async () => {
    const engine = start();
    await engine.ready();
    const states = recordStates(engine);
    const restarting = nextState(engine, 'restarting');
    const firstPid = engine.pid;
    const streams = Array.from({ length: 8 }, (_, index) => engine.generate(makeRequest(`r${index}`, [Special.stall])));
    for (const stream of streams) await stream.next();
    process.kill(Number(firstPid), 'SIGKILL');
    for (const end of await Promise.all(streams.map(collect))) expect(end.error).toMatchObject({ code: 'engine-dead' });
    for (const stream of streams) expect(await stream.next()).toEqual({ done: true, value: undefined });
    await restarting;
    expect(engine.state).toBe('restarting');
    expect(() => engine.generate(makeRequest('x', [1]))).toThrow(expect.objectContaining({ code: 'engine-dead' }));
    expect(engine.info).toEqual(fakeInfo);
    await engine.ready();
    expect(engine.pid).not.toBe(firstPid);
    expect((await collect(engine.generate(makeRequest('r0', [1])))).finishReason).toBe('length');
    expect(states).toEqual(['restarting', 'ready']);
  });

  test('a process that kills itself again and again is replaced each time', async () => {
    const engine = start();
    await engine.ready();
    for (let round = 0; round < 3; round++) {
      const end = await collect(engine.generate(makeRequest('a', [Special.crash])));
      expect(end.error).toMatchObject({ code: 'engine-dead' });
      await engine.ready();
    }
    expect((await collect(engine.generate(makeRequest('a', [1])))).finishReason).toBe('length');
  });

  test('a lost device fails all requests with its code, and the process is replaced', async () => {
    const lines: string[] = [];
    const engine = start({}, { onLog: (line) => lines.push(line) });
    await engine.ready();
    const firstPid = engine.pid;
    const other = collect(engine.generate(makeRequest('other', [Special.stall])));
    const end = await collect(engine.generate(makeRequest('a', [Special.deviceLost])));
    expect(end.error).toMatchObject({ code: 'device-lost', message: 'the device was lost' });
    expect((await other).error).toMatchObject({ code: 'device-lost' });
    await engine.ready();
    expect(engine.pid).not.toBe(firstPid);
    expect(
      lines.filter((line) => line.includes('exited with code 70') && line.includes('device was lost')),
    ).toHaveLength(1);
  });

  test('a hung step is noticed by its silence', async () => {
    const engine = start({}, { limits: { heartbeatIntervalMs: 50, heartbeatTimeoutMs: 1000 } });
    await engine.ready();
    const end = await collect(engine.generate(makeRequest('a', [Special.hang])));
    expect(end.error).toMatchObject({ code: 'engine-dead', message: expect.stringContaining('no sign of life') });
    await engine.ready();
    expect((await collect(engine.generate(makeRequest('a', [1])))).finishReason).toBe('length');
  });

  test('bytes that are no frames end the connection, not the front', async () => {
    const engine = start(
      {},
      { command: [process.execPath, local('./babbling-child.ts')], limits: { maxLoadFailures: 2 } },
    );
    await expect(engine.ready()).rejects.toMatchObject({
      code: 'load-failed',
      message: expect.stringContaining('over the limit'),
    });
    expect(engine.state).toBe('failed');
  });
});

describe('loading', () => {
  test('a load that cannot succeed is not tried again', async () => {
    const journal = makeJournal();
    const engine = start({ journal, load: 'throw' });
    await expect(engine.ready()).rejects.toMatchObject({
      code: 'load-failed',
      message: 'tensor x is missing in y.safetensors',
    });
    expect(engine.state).toBe('failed');
    expect(readFileSync(journal, 'utf8')).toBe('.');
  });

  test('crashes are tried again, up to a number, and the error quotes the last lines', async () => {
    const journal = makeJournal();
    const engine = start({ journal, load: 'crash' }, { limits: { maxLoadFailures: 3 } });
    const states = recordStates(engine);
    const failure = await engine.ready().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(EngineError);
    expect(String(failure)).toContain('exited with code 3');
    expect(String(failure)).toContain('about to die');
    expect(readFileSync(journal, 'utf8')).toBe('...');
    expect(states).toEqual(['failed']);
  });

  test('a crash and then success is a success', async () => {
    const engine = start({ journal: makeJournal(), load: 'crash', times: 1 });
    expect(await engine.ready()).toEqual(fakeInfo);
  });

  test('a load that blocks is killed and tried again', async () => {
    const engine = start(
      { journal: makeJournal(), load: 'hang', times: 1 },
      { limits: { heartbeatIntervalMs: 50, loadTimeoutMs: 2000 } },
    );
    expect(await engine.ready()).toEqual(fakeInfo);
  });

  test('a module that is missing, and a program that is missing', async () => {
    const noModule = start({}, { env: { WGSLM_ENGINE_MODULE: local('./no-such-module.ts') } });
    await expect(noModule.ready()).rejects.toMatchObject({ code: 'load-failed' });
    const noProgram = start({}, { command: ['/no/such/program'] });
    await expect(noProgram.ready()).rejects.toMatchObject({ message: expect.stringContaining('could not be started') });
  });

  test('close while loading leaves nothing behind', async () => {
    const lines: string[] = [];
    const engine = start({ load: 'hang' }, { onLog: (line) => lines.push(line) });
    const ready = engine.ready().catch((error: unknown) => error);
    await engine.close();
    expect(await ready).toMatchObject({ code: 'draining' });
    expect(engine.pid).toBeNull();
  });
});

describe('orphans', () => {
  test('the child goes when its parent is killed', async () => {
    const parent = spawn(process.execPath, [local('./parent.ts')], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [output] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(output.toString());
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await untilGone(pid);
  });

  test('the child leaves signals of the terminal to its parent', async () => {
    const engine = start();
    await engine.ready();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(Number(engine.pid), signal);
    expect((await collect(engine.generate(makeRequest('a', [1])))).finishReason).toBe('length');
    expect(engine.state).toBe('ready');
  });
});
