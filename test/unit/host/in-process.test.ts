/** The engine without a process: the loop's order of calls, aborts, failures, the end. */
import { describe, expect, test } from 'bun:test';
import { EngineLoop } from '../../../src/engine/host/engine-loop.ts';
import { InProcessEngine } from '../../../src/engine/host/in-process.ts';
import type { StepOutput } from '../../../src/engine/host/local-engine-contract.ts';
import { EngineError } from '../../../src/engine/types.ts';
import { FakeEngine, fakeInfo, Special } from './fake-engine.ts';
import { collect, makeRequest, nextState } from './fixtures.ts';

describe('InProcessEngine', () => {
  test('is loading, then ready, then closed', async () => {
    const local = new FakeEngine();
    const engine = new InProcessEngine(async () => local);
    expect(engine.state).toBe('loading');
    expect(() => engine.info).toThrow(EngineError);
    expect(() => engine.generate(makeRequest('a', [1]))).toThrow('still loading');
    expect(await engine.ready()).toEqual(fakeInfo);
    expect(engine.state).toBe('ready');
    await engine.close();
    expect(engine.state).toBe('closed');
    expect(local.isClosed).toBe(true);
    expect(() => engine.generate(makeRequest('a', [1]))).toThrow(expect.objectContaining({ code: 'draining' }));
    await expect(engine.ready()).rejects.toMatchObject({ code: 'draining' });
  });

  test('a failed load is final and gives its own error', async () => {
    const engine = new InProcessEngine(async () => {
      throw new TypeError('no such thing');
    });
    await expect(engine.ready()).rejects.toMatchObject({ code: 'load-failed', message: 'no such thing' });
    expect(engine.state).toBe('failed');
    expect(() => engine.generate(makeRequest('a', [1]))).toThrow(expect.objectContaining({ code: 'engine-dead' }));
    await engine.close();
  });

  test('many requests at once, each with its own tokens', async () => {
    const engine = new InProcessEngine(async () => new FakeEngine());
    await engine.ready();
    const ends = Array.from({ length: 50 }, (_, index) =>
      collect(engine.generate(makeRequest(`r${index}`, [index * 10]))),
    );
    for (const [index, end] of (await Promise.all(ends)).entries()) {
      expect(end.tokenIds).toEqual(Array.from({ length: 8 }, (_, offset) => index * 10 + offset));
      expect(end.finishReason).toBe('length');
    }
    expect(engine.stats().numRunning).toBe(0);
    await engine.close();
  });

  test('refusals and failures end one request alone', async () => {
    const engine = new InProcessEngine(async () => new FakeEngine());
    await engine.ready();
    const good = collect(engine.generate(makeRequest('good', [1])));
    const refused = await collect(engine.generate(makeRequest('refused', [Special.refused])));
    const failed = await collect(engine.generate(makeRequest('failed', [Special.failsAlone])));
    expect(refused.error).toMatchObject({ code: 'overloaded' });
    expect(failed.error).toMatchObject({ code: 'gpu-error' });
    expect((await good).finishReason).toBe('length');
    await engine.close();
  });

  test('abort reaches the engine, and the id can be used again at once', async () => {
    const aborted: string[] = [];
    const engine = new InProcessEngine(async () => new FakeEngine((id) => aborted.push(id)));
    await engine.ready();
    const stream = engine.generate(makeRequest('a', [Special.stall]));
    await stream.next();
    engine.abort('a');
    const again = collect(engine.generate(makeRequest('a', [3])));
    expect((await collect(stream)).finishReason).toBe('abort');
    expect((await again).tokenIds[0]).toBe(3);
    expect(aborted).toHaveLength(1);
    await engine.close();
  });

  test('a fault fails all streams and the engine', async () => {
    const engine = new InProcessEngine(async () => new FakeEngine());
    await engine.ready();
    const failed = nextState(engine, 'failed');
    const ends = ['a', 'b'].map((id) => collect(engine.generate(makeRequest(id, [Special.deviceLost]))));
    for (const end of await Promise.all(ends)) expect(end.error).toMatchObject({ code: 'device-lost' });
    await failed;
    await engine.close();
  });

  test('close ends open streams with abort', async () => {
    const engine = new InProcessEngine(async () => new FakeEngine());
    await engine.ready();
    const end = collect(engine.generate(makeRequest('a', [Special.stall])));
    await engine.close();
    expect((await end).finishReason).toBe('abort');
  });
});

describe('EngineLoop', () => {
  test('waits for the reader before the next step, and takes aborts meanwhile', async () => {
    const outputs: StepOutput[] = [];
    let isCongested = true;
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<string>();
    const engine = new FakeEngine((id) => aborted.resolve(id));
    const loop = new EngineLoop(engine, {
      onStep: (output) => outputs.push(output),
      onFault: (error) => aborted.reject(error),
      waitForReader: () => {
        asked.resolve();
        return isCongested ? gate.promise : null;
      },
    });
    loop.submit(makeRequest('a', [1], { maxTokens: 3 }));
    loop.submit(makeRequest('b', [1], { maxTokens: 3 }));
    await asked.promise;
    loop.abort('b');
    expect(await aborted.promise).toBe('b');
    expect(outputs).toHaveLength(0);
    isCongested = false;
    gate.resolve();
    while (engine.hasWork) await new Promise<void>((resolve) => setImmediate(resolve));
    await loop.stop();
    expect(outputs.map((output) => output.events.length)).toEqual([1, 1, 1]);
  });
});
