/** The child's side alone, over a socket in this process: what it answers and how it ends. */
import { describe, expect, test } from 'bun:test';
import { FrameSocket } from '../../../src/engine/host/frame-socket.ts';
import {
  decodeError,
  encodeEmptyFrame,
  encodeHandleFrame,
  encodeJsonFrame,
  FrameType,
} from '../../../src/engine/host/frames.ts';
import type { CreateLocalEngine } from '../../../src/engine/host/local-engine-contract.ts';
import { EngineExit, serveEngine } from '../../../src/engine/host/server.ts';
import { decodeStep } from '../../../src/engine/host/step-codec.ts';
import { encodeSubmitFrame } from '../../../src/engine/host/submit-codec.ts';
import { connectToPeer, listenForOnePeer } from '../../../src/runtime/unix-socket.ts';
import { FakeEngine, Special } from './fake-engine.ts';
import { makeInit, makeRequest } from './fixtures.ts';

interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** A server over `createEngine` and a front that pulls its frames one by one. */
async function connectFront(createEngine: CreateLocalEngine) {
  const listener = await listenForOnePeer();
  const exit = connectToPeer(listener.path).then((socket) => serveEngine(socket, createEngine));
  const frames: Frame[] = [];
  let wake = () => {};
  const front = new FrameSocket(await listener.connection, {
    onFrame: (type, payload) => {
      frames.push({ type, payload: payload.slice() });
      wake();
    },
    onClose: () => {},
  });
  const next = async (): Promise<Frame> => {
    for (;;) {
      const frame = frames.shift();
      if (frame !== undefined) return frame;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { exit, front, next };
}

const init = encodeJsonFrame(FrameType.init, makeInit());
const ping = encodeEmptyFrame(FrameType.ping);

describe('serveEngine', () => {
  test('one frame per step for all requests, pings in between, an orderly end', async () => {
    const engine = new FakeEngine();
    const { exit, front, next } = await connectFront(async () => engine);
    front.send(ping);
    expect(await next()).toMatchObject({ type: FrameType.pong, payload: new Uint8Array(0) });
    front.send(init);
    expect((await next()).type).toBe(FrameType.ready);
    front.send(
      Buffer.concat([1, 2, 3].map((handle) => encodeSubmitFrame(handle, makeRequest('x', [handle], { maxTokens: 2 })))),
    );
    for (let step = 0; step < 2; step++) {
      const frame = await next();
      expect(frame.type).toBe(FrameType.step);
      const seen: number[][] = [];
      decodeStep(frame.payload, (handle, event) => seen.push([handle, event.tokenId]));
      expect(seen).toEqual([1, 2, 3].map((handle) => [handle, handle + step]));
    }
    front.send(ping);
    expect((await next()).payload.length).toBe(11 * 8 + 1);
    front.send(encodeEmptyFrame(FrameType.shutdown));
    expect(await exit).toBe(EngineExit.shutdown);
    expect(engine.isClosed).toBe(true);
  });

  test('a request before the engine is there is refused; aborts of unknown handles are ignored', async () => {
    const { exit, front, next } = await connectFront(() => new Promise(() => {}));
    front.send(encodeHandleFrame(FrameType.abort, 5));
    front.send(encodeSubmitFrame(5, makeRequest('x', [1])));
    const { handle, error } = decodeError((await next()).payload);
    expect({ handle, code: error.code }).toEqual({ handle: 5, code: 'engine-dead' });
    front.send(encodeEmptyFrame(FrameType.shutdown));
    expect(await exit).toBe(EngineExit.shutdown);
  });

  test('a failed load is told, then the end', async () => {
    const { exit, front, next } = await connectFront(async () => {
      throw new Error('no weights');
    });
    front.send(init);
    const { handle, error } = decodeError((await next()).payload);
    expect({ handle, code: error.code, message: error.message }).toEqual({
      handle: 0,
      code: 'load-failed',
      message: 'no weights',
    });
    expect(await exit).toBe(EngineExit.loadFailed);
  });

  test('a step that throws is told, then the end', async () => {
    const { exit, front, next } = await connectFront(async () => new FakeEngine());
    front.send(init);
    await next();
    front.send(encodeSubmitFrame(1, makeRequest('x', [Special.deviceLost])));
    expect((await next()).type).toBe(FrameType.step);
    const { handle, error } = decodeError((await next()).payload);
    expect({ handle, code: error.code }).toEqual({ handle: 0, code: 'device-lost' });
    expect(await exit).toBe(EngineExit.fault);
  });

  test('ends with the front, and with a front that babbles', async () => {
    const orphan = await connectFront(async () => new FakeEngine());
    orphan.front.destroy();
    expect(await orphan.exit).toBe(EngineExit.orphaned);
    for (const frames of [[new Uint8Array(16).fill(255)], [encodeEmptyFrame(FrameType.ready)], [init, init]]) {
      const babble = await connectFront(async () => new FakeEngine());
      for (const frame of frames) babble.front.send(frame);
      expect(await babble.exit).toBe(EngineExit.protocol);
    }
  });
});
