/** Frames over a real socket: order, a reader that stalls, both ways of ending. */
import { describe, expect, test } from 'bun:test';
import { existsSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { FrameError } from '../../../src/engine/host/bytes.ts';
import { FrameSocket } from '../../../src/engine/host/frame-socket.ts';
import { beginFrame, encodeEmptyFrame, FrameType, finishFrame } from '../../../src/engine/host/frames.ts';
import { connectToPeer, listenForOnePeer } from '../../../src/runtime/unix-socket.ts';

async function makePair(): Promise<[Socket, Socket]> {
  const listener = await listenForOnePeer();
  return Promise.all([listener.connection, connectToPeer(listener.path)]);
}

const ignore = { onFrame: () => {}, onClose: () => {} };

function numberedFrame(number: number, sizeBytes: number): Uint8Array {
  const writer = beginFrame(sizeBytes);
  writer.u32(number);
  writer.raw(new Uint8Array(sizeBytes - 4));
  return finishFrame(FrameType.step, writer);
}

describe('listenForOnePeer', () => {
  test('lies in a private folder that is gone once the peer is there', async () => {
    const listener = await listenForOnePeer();
    expect(statSync(dirname(listener.path)).mode & 0o777).toBe(0o700);
    const client = await connectToPeer(listener.path);
    const server = await listener.connection;
    expect(existsSync(dirname(listener.path))).toBe(false);
    await expect(connectToPeer(listener.path)).rejects.toThrow();
    client.destroy();
    server.destroy();
  });

  test('closing it first removes the folder and rejects', async () => {
    const listener = await listenForOnePeer();
    listener.close();
    listener.close();
    await expect(listener.connection).rejects.toThrow('closed before');
    expect(existsSync(dirname(listener.path))).toBe(false);
  });
});

describe('FrameSocket', () => {
  test('a reader that stalls makes the writer wait, and gets everything in order later', async () => {
    const [left, right] = await makePair();
    right.pause();
    const writer = new FrameSocket(left, ignore, 1024 * 1024);
    let numSent = 0;
    while (writer.whenWritable() === null) writer.send(numberedFrame(numSent++, 64 * 1024));
    const waiting = writer.whenWritable();
    const numbers: number[] = [];
    const all = Promise.withResolvers<void>();
    const reader = new FrameSocket(right, {
      onFrame: (_type, payload) => {
        numbers.push(new DataView(payload.buffer, payload.byteOffset).getUint32(0, true));
        if (numbers.length === numSent) all.resolve();
      },
      onClose: () => all.reject(new Error('closed early')),
    });
    right.resume();
    await waiting;
    expect(writer.whenWritable()).toBeNull();
    await all.promise;
    expect(numbers).toEqual(Array.from({ length: numSent }, (_, index) => index));
    writer.destroy();
    reader.destroy();
  });

  test('a writer that waits is released when the peer goes', async () => {
    const [left, right] = await makePair();
    right.pause();
    const writer = new FrameSocket(left, ignore, 1024);
    while (writer.whenWritable() === null) writer.send(numberedFrame(0, 64 * 1024));
    const waiting = writer.whenWritable();
    right.destroy();
    await waiting;
    expect(writer.isClosed).toBe(true);
  });

  test('what was sent before the end arrives, then the end, once', async () => {
    const [left, right] = await makePair();
    const events: string[] = [];
    const over = Promise.withResolvers<void>();
    new FrameSocket(right, {
      onFrame: (type) => events.push(`frame ${type}`),
      onClose: (error) => {
        events.push(`close ${String(error)}`);
        over.resolve();
      },
    });
    const writer = new FrameSocket(left, ignore);
    writer.send(encodeEmptyFrame(FrameType.pong));
    await writer.flush();
    await over.promise;
    expect(events).toEqual(['frame 20', 'close null']);
  });

  test('garbage closes the connection with a FrameError', async () => {
    const [left, right] = await makePair();
    const over = Promise.withResolvers<Error | null>();
    new FrameSocket(right, { onFrame: () => {}, onClose: over.resolve });
    left.write(new Uint8Array(16).fill(255));
    expect(await over.promise).toBeInstanceOf(FrameError);
    left.destroy();
  });

  test('an error of the frame handler closes the connection with it', async () => {
    const [left, right] = await makePair();
    const over = Promise.withResolvers<Error | null>();
    const refuse = () => {
      throw new FrameError('unknown');
    };
    new FrameSocket(right, { onFrame: refuse, onClose: over.resolve });
    left.write(encodeEmptyFrame(FrameType.ping));
    expect((await over.promise)?.message).toBe('unknown');
    left.destroy();
  });
});
