import { describe, expect, test } from 'bun:test';
import type { Scheduler } from '../../../src/engine/scheduler.ts';
import { request, scheduler } from './fixtures.ts';

/** Runs everything that is queued; gives the number of tokens that each step computed. */
function drain(s: Scheduler): number[] {
  const sizes: number[] = [];
  while (s.hasWork) {
    const plan = s.plan();
    sizes.push(plan.numTokens);
    s.commit(
      plan,
      Array.from({ length: plan.numSamples }, () => ({ tokenId: 50, logprobs: null })),
    );
    s.assertInvariants();
  }
  return sizes;
}

const cached = (more: object = {}) => scheduler({ enablePrefixCaching: true, ...more });
const one = { maxTokens: 1 };

describe('prefix cache', () => {
  test('a prompt that came before is computed only beyond its full blocks', () => {
    const s = cached();
    s.add(request('a', 14, one));
    expect(drain(s)).toEqual([14]);
    s.add(request('b', 14, one));
    expect(drain(s)).toEqual([2]);
    expect(s.stats).toMatchObject({ prefixQueryTokens: 28, prefixHitTokens: 12, numFreeBlocks: 64 });
  });

  test('the last token is always computed, also when whole blocks hold the prompt', () => {
    const s = cached();
    s.add(request('a', 12, one));
    drain(s);
    s.add(request('b', 12, one));
    expect(drain(s)).toEqual([4]);
  });

  test('generated tokens are found by the next turn of a conversation', () => {
    const s = cached();
    s.add(request('a', 6, { maxTokens: 7 }));
    drain(s);
    const { promptTokenIds } = request('a', 6);
    s.add(request('b', [...promptTokenIds, 50, 50, 50, 50, 50, 50, 50, 9], one));
    expect(drain(s)).toEqual([2]);
  });

  test('two sequences that run at once share blocks, and both give them back', () => {
    const s = cached();
    s.add(request('a', 17, { maxTokens: 9 }));
    s.commit(s.plan(), [{ tokenId: 50, logprobs: null }]);
    s.add(request('b', 17, { maxTokens: 9 }));
    s.plan();
    s.assertInvariants();
    expect(s.stats.numFreeBlocks).toBe(64 - 5 - 1);
  });

  test('another salt, another beginning or another model of it shares nothing', () => {
    const s = cached();
    s.add(request('a', 16, one));
    drain(s);
    s.add({ ...request('b', 16, one), cacheSalt: 'x' });
    expect(drain(s)).toEqual([16]);
    s.add(request('c', [99, ...Array.from({ length: 15 }, (_, i) => 3 + i)], one));
    expect(drain(s)).toEqual([16]);
    s.add({ ...request('d', 16, one), cacheSalt: 'x' });
    expect(drain(s)).toEqual([4]);
  });

  test('blocks that are handed out again are forgotten, the end of a prompt before its start', () => {
    const s = cached({ numBlocks: 8, maxModelLen: 32 });
    s.add(request('a', 24, one));
    drain(s);
    s.add(
      request(
        'b',
        Array.from({ length: 20 }, (_, i) => 95 - i),
        one,
      ),
    );
    drain(s);
    s.add(request('a2', 24, one));
    // Of six blocks two were never used and three of the last were taken for the other prompt.
    expect(drain(s)).toEqual([24 - 3 * 4]);
  });

  test('a preempted sequence finds its own blocks again', () => {
    const s = cached({ numBlocks: 6, maxModelLen: 24 });
    s.add(request('a', 10, { maxTokens: 12 }));
    s.add(
      request(
        'b',
        Array.from({ length: 5 }, (_, i) => 70 + i),
        { maxTokens: 12 },
      ),
    );
    drain(s);
    expect(s.stats.numFreeBlocks).toBe(6);
  });

  test('switched off it finds nothing', () => {
    const s = scheduler();
    s.add(request('a', 16, one));
    drain(s);
    s.add(request('b', 16, one));
    expect(drain(s)).toEqual([16]);
    expect(s.stats.prefixHitTokens).toBe(0);
  });
});
