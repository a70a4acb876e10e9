/** What the store keeps, and what it lets go first. */
import { describe, expect, test } from 'bun:test';
import type { MessageItem } from '../../../src/serving/responses/items.ts';
import type { ResponseStatus } from '../../../src/serving/responses/response-format.ts';
import { ResponseStore } from '../../../src/serving/responses/store.ts';

const item = (text: string): MessageItem => ({
  id: 'msg_1',
  type: 'message',
  role: 'user',
  status: 'completed',
  content: [{ type: 'input_text', text }],
});

/** A run whose state the test decides. */
function fakeRun(status: ResponseStatus = 'completed', text = '') {
  return {
    status,
    text,
    numCancelled: 0,
    object() {
      return { status: this.status, output: [item(this.text)] };
    },
    cancel() {
      this.numCancelled += 1;
      this.status = 'cancelled' as const;
    },
  };
}

const has = (store: ResponseStore, id: string): boolean => {
  try {
    store.get(id);
    return true;
  } catch {
    return false;
  }
};

describe('the store', () => {
  test('drops the least recently used beyond the number', () => {
    const store = new ResponseStore({ maxResponses: 2, maxChars: 1e6 });
    for (const id of ['a', 'b']) store.add(id, { run: fakeRun(), input: [] });
    store.get('a');
    store.add('c', { run: fakeRun(), input: [] });
    expect(['a', 'b', 'c'].filter((id) => has(store, id))).toEqual(['a', 'c']);
  });

  test('drops beyond the size, counted again when a response has grown', () => {
    const store = new ResponseStore({ maxResponses: 100, maxChars: 1500 });
    store.add('a', { run: fakeRun('completed', 'x'.repeat(500)), input: [] });
    const grows = fakeRun('in_progress');
    store.add('b', { run: grows, input: [item('y'.repeat(100))] });
    expect(has(store, 'a')).toBe(true);
    grows.text = 'z'.repeat(600);
    grows.status = 'completed';
    store.measure('b');
    expect([has(store, 'a'), has(store, 'b')]).toEqual([false, true]);
    store.add('big', { run: fakeRun('completed', 'x'.repeat(2000)), input: [] });
    expect(store.size).toBe(0);
  });

  test('keeps what is being made, and lets it go when it has ended', () => {
    const store = new ResponseStore({ maxResponses: 1, maxChars: 1e6 });
    const runs = [fakeRun('queued'), fakeRun('in_progress')];
    for (const [index, run] of runs.entries()) store.add(`r${index}`, { run, input: [] });
    expect(store.size).toBe(2);
    const [first] = runs;
    if (first) first.status = 'failed';
    store.measure('r0');
    expect([has(store, 'r0'), has(store, 'r1')]).toEqual([false, true]);
  });

  test('a conversation is the input and the answer; an unfinished response has none', () => {
    const store = new ResponseStore({ maxResponses: 9, maxChars: 1e6 });
    store.add('a', { run: fakeRun('incomplete', 'answer'), input: [item('question')] });
    expect(store.conversation('a').map((entry) => entry.content)).toEqual([
      [{ type: 'input_text', text: 'question' }],
      [{ type: 'input_text', text: 'answer' }],
    ]);
    for (const status of ['queued', 'in_progress', 'failed', 'cancelled'] as const) {
      store.add(status, { run: fakeRun(status), input: [] });
      expect(() => store.conversation(status)).toThrow(status);
    }
  });

  test('deleting cancels; measuring what is gone does nothing', () => {
    const store = new ResponseStore({ maxResponses: 9, maxChars: 1e6 });
    const run = fakeRun('in_progress');
    store.add('a', { run, input: [] });
    store.delete('a');
    store.measure('a');
    expect([run.numCancelled, store.size]).toEqual([1, 0]);
    expect(() => store.delete('a')).toThrow('no stored response');
  });
});
