/** Coalescing, endings and the table of open requests. */
import { describe, expect, test } from 'bun:test';
import { StreamTable } from '../../../src/engine/host/token-stream.ts';
import { EngineError, type TokenEvent } from '../../../src/engine/types.ts';
import { collect } from './fixtures.ts';

const token = (tokenId: number, finishReason: TokenEvent['finishReason'] = null): TokenEvent => ({
  tokenId,
  logprobs: null,
  finishReason,
  stopTokenId: null,
});

function makeTable() {
  const aborted: number[] = [];
  return { aborted, table: new StreamTable((handle) => aborted.push(handle)) };
}

describe('StreamTable', () => {
  test('one pull gives everything that has arrived, in order', async () => {
    const { table } = makeTable();
    const { handle, stream } = table.open('a');
    const first = stream.next();
    table.push(handle, token(1));
    table.push(handle, token(2));
    expect(await first).toEqual({ done: false, value: [token(1), token(2)] });
    table.push(handle, token(3));
    table.push(handle, token(4, 'length'));
    expect(await stream.next()).toEqual({ done: false, value: [token(3), token(4, 'length')] });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(table.size).toBe(0);
  });

  test('a failure is thrown once, after the tokens that came before it', async () => {
    const { table, aborted } = makeTable();
    const { handle, stream } = table.open('a');
    table.push(handle, token(1));
    table.failAll(new EngineError('engine-dead', 'gone'));
    table.failAll(new EngineError('engine-dead', 'gone again'));
    expect((await stream.next()).value).toEqual([token(1)]);
    await expect(stream.next()).rejects.toThrow('gone');
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(aborted).toEqual([]);
  });

  test('a failure wakes who waits, and only one of several pulls throws', async () => {
    const { table } = makeTable();
    const { handle, stream } = table.open('a');
    const pulls = Promise.allSettled([stream.next(), stream.next()]);
    table.fail(handle, new EngineError('gpu-error', 'x'));
    expect((await pulls).map((pull) => pull.status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('a stream that has finished does not fail any more', async () => {
    const { table } = makeTable();
    const { handle, stream } = table.open('a');
    table.push(handle, token(1, 'stop'));
    table.failAll(new EngineError('engine-dead', 'gone'));
    expect(await collect(stream)).toEqual({ tokenIds: [1], finishReason: 'stop', error: null });
  });

  test('leaving a stream aborts its request once and wakes a pull that waits', async () => {
    const { table, aborted } = makeTable();
    const { handle, stream } = table.open('a');
    const pull = stream.next();
    await stream.return?.();
    await stream.return?.();
    expect(await pull).toEqual({ done: true, value: undefined });
    expect(aborted).toEqual([handle]);
    table.push(handle, token(1)); // on its way when the reader left
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  test('breaking out of a loop aborts; leaving after the end does not', async () => {
    const { table, aborted } = makeTable();
    const one = table.open('a');
    table.push(one.handle, token(1));
    for await (const _events of one.stream) break;
    expect(aborted).toEqual([one.handle]);
    const two = table.open('b');
    table.push(two.handle, token(1, 'stop'));
    for await (const _events of two.stream) break;
    expect(aborted).toEqual([one.handle]);
  });

  test('abort by id ends the stream with an abort event; unknown ids are ignored', async () => {
    const { table, aborted } = makeTable();
    const { handle, stream } = table.open('a');
    table.abort('unknown');
    table.abort('a');
    table.abort('a');
    expect(aborted).toEqual([handle]);
    expect(await collect(stream)).toEqual({ tokenIds: [], finishReason: 'abort', error: null });
  });

  test('an id is unique while it is in progress, and free again after', () => {
    const { table } = makeTable();
    const first = table.open('a');
    expect(() => table.open('a')).toThrow(EngineError);
    table.abort('a');
    expect(table.open('a').handle).not.toBe(first.handle);
  });
});
