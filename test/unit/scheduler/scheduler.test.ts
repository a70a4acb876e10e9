import { describe, expect, test } from 'bun:test';
import type { Scheduler } from '../../../src/engine/scheduler.ts';
import { EngineError, type TokenEvent } from '../../../src/engine/types.ts';
import { described, EOS, request, results, scheduler, step, VOCAB_SIZE } from './fixtures.ts';

function finishReasons(events: readonly { event: TokenEvent }[]): unknown[] {
  return events.map(({ event }) => event.finishReason);
}

/** Steps until nothing is left; gives each request's tokens. */
function drained(s: Scheduler): Record<string, number> {
  const counts: Record<string, number> = {};
  while (s.hasWork) {
    for (const { requestId } of step(s).result.events) counts[requestId] = (counts[requestId] ?? 0) + 1;
  }
  return counts;
}

describe('plan', () => {
  test('is empty without work, and needs no commit', () => {
    const s = scheduler();
    expect(s.hasWork).toBe(false);
    const plan = s.plan();
    expect(plan).toEqual({
      entries: [],
      numDecodes: 0,
      numTokens: 0,
      numSamples: 0,
      preempted: [],
      toSave: [],
      toRestore: [],
    });
    expect(s.commit(plan, [])).toEqual({ events: [], finished: [] });
    expect(s.plan().entries).toEqual([]);
  });

  test('computes a prompt, then one token per step', () => {
    const s = scheduler();
    s.add(request('a', 5, { maxTokens: 3 }));
    expect(described(step(s).plan)).toEqual(['a@0+5!']);
    expect(described(step(s).plan)).toEqual(['a@5+1!']);
    expect(described(step(s).plan)).toEqual(['a@6+1!']);
    expect(s.hasWork).toBe(false);
    expect(s.stats.numFreeBlocks).toBe(64);
  });

  test('cuts a prompt by the budget and puts decodes before it', () => {
    const s = scheduler({ maxNumBatchedTokens: 8 });
    s.add(request('a', 2));
    step(s);
    s.add(request('b', 17));
    s.add(request('c', 2));
    expect(described(step(s).plan)).toEqual(['a@2+1!', 'b@0+7']);
    expect(described(step(s).plan)).toEqual(['a@3+1!', 'b@7+7']);
    const { plan } = step(s);
    expect(described(plan)).toEqual(['a@4+1!', 'b@14+3!', 'c@0+2!']);
    expect([plan.numDecodes, plan.numTokens, plan.numSamples]).toEqual([1, 6, 3]);
    expect(described(step(s).plan)).toEqual(['a@5+1!', 'b@17+1!', 'c@2+1!']);
  });

  test('counts a prompt of one token, and the last one of a prompt, as decode', () => {
    const s = scheduler({ maxNumBatchedTokens: 4 });
    s.add(request('a', 5));
    step(s);
    s.add(request('b', 1));
    const { plan } = step(s);
    expect(described(plan)).toEqual(['a@4+1!', 'b@0+1!']);
    expect(plan.numDecodes).toBe(2);
  });

  test('raises the budget and computes prompts whole when chunks are off', () => {
    const s = scheduler({ enableChunkedPrefill: false, maxNumBatchedTokens: 8, maxModelLen: 20 });
    expect(s.options.maxNumBatchedTokens).toBe(20);
    s.add(request('a', 12));
    s.add(request('b', 9));
    s.add(request('c', 1));
    expect(described(step(s).plan)).toEqual(['a@0+12!']);
    expect(described(step(s).plan)).toEqual(['a@12+1!', 'c@0+1!', 'b@0+9!']);
  });

  test('lets a request that does not fit hold up those behind it', () => {
    const s = scheduler({ numBlocks: 8, maxModelLen: 32 });
    s.add(request('a', 16, { maxTokens: 2 }));
    s.add(request('b', 20, { maxTokens: 1 }));
    s.add(request('c', 1, { maxTokens: 1 }));
    expect(described(step(s).plan)).toEqual(['a@0+16!']);
    expect(described(step(s).plan)).toEqual(['a@16+1!']);
    expect(described(step(s).plan)).toEqual(['c@0+1!', 'b@0+20!']);
  });

  test('runs at most maxNumSeqs, clipped to the budget', () => {
    const s = scheduler({ maxNumSeqs: 8, maxNumBatchedTokens: 3 });
    expect(s.options.maxNumSeqs).toBe(3);
    for (const id of ['a', 'b', 'c', 'd']) s.add(request(id, 1, { maxTokens: 2 }));
    expect(described(step(s).plan)).toEqual(['a@0+1!', 'b@0+1!', 'c@0+1!']);
    expect(s.stats.numWaiting).toBe(1);
    step(s);
    expect(described(step(s).plan)).toEqual(['d@0+1!']);
  });

  test('keeps a block free for each that may grow when it admits beside others', () => {
    const s = scheduler({ numBlocks: 4, maxModelLen: 16 });
    s.add(request('a', 4, { maxTokens: 2 }));
    s.add(request('b', 8, { maxTokens: 4 }));
    // a: 1 block + 1 to come; b: 2 blocks + 1 to come: 5 of 4.
    expect(described(step(s).plan)).toEqual(['a@0+4!']);
    // Once a has its last block only b may grow, and alone b fits.
    expect(described(step(s).plan)).toEqual(['a@4+1!']);
    expect(described(step(s).plan)).toEqual(['b@0+8!']);
  });

  test('admits side by side what never grows', () => {
    const s = scheduler({ numBlocks: 4, maxModelLen: 16 });
    s.add(request('a', 8, { maxTokens: 1 }));
    s.add(request('b', 5, { maxTokens: 4 }));
    expect(described(step(s).plan)).toEqual(['a@0+8!', 'b@0+5!']);
  });

  test('orders by priority, then arrival, under that policy alone', () => {
    const order = (policy: 'fcfs' | 'priority') => {
      const s = scheduler({ policy });
      s.add(request('a', 2, {}, 1));
      s.add(request('b', 2, {}, 0));
      s.add(request('c', 2, {}, 1));
      s.add(request('d', 2, {}, -1));
      return step(s).plan.entries.map((e) => e.sequence.id);
    };
    expect(order('fcfs')).toEqual(['a', 'b', 'c', 'd']);
    expect(order('priority')).toEqual(['d', 'b', 'a', 'c']);
  });
});

describe('preemption', () => {
  /** Two sequences of 4 + 12 tokens in 6 blocks of 4: both are admitted, both cannot end. */
  function crowded(options: Parameters<typeof scheduler>[0] = {}): Scheduler {
    const s = scheduler({ numBlocks: 6, maxModelLen: 16, ...options });
    s.add(request('a', 4, { maxTokens: 12 }, 1));
    s.add(request('b', 4, { maxTokens: 12 }, 0));
    return s;
  }

  test('takes the newest first, admits nobody in that step, and computes prompt and output again', () => {
    const s = crowded();
    let { plan } = step(s);
    expect(described(plan)).toEqual(['a@0+4!', 'b@0+4!']);
    s.add(request('c', 2, { maxTokens: 1 }));
    for (; plan.preempted.length === 0; plan = step(s).plan) expect(plan.numTokens).toBeGreaterThan(0);
    expect(plan.preempted).toEqual(['b']);
    expect(described(plan)).toEqual(['a@12+1!']);
    expect(s.stats).toMatchObject({ numPreemptions: 1, numWaiting: 2, numRunning: 1 });
    const again: string[] = [];
    while (s.hasWork) again.push(...described(step(s).plan).filter((entry) => entry.startsWith('b')));
    expect(again[0]).toBe('b@0+13!');
    expect(s.stats.promptTokens).toBe(10);
    expect(s.stats.generationTokens).toBe(25);
  });

  test('loses and repeats no token', () => {
    expect(drained(crowded())).toEqual({ a: 12, b: 12 });
  });

  test('puts the preempted one before those who came later', () => {
    const s = crowded({ maxNumSeqs: 2 });
    s.add(request('c', 2, { maxTokens: 1 }));
    const firstSeen: string[] = [];
    while (s.hasWork) {
      const { plan } = step(s);
      if (s.stats.numPreemptions > 0) firstSeen.push(...plan.entries.map((e) => e.sequence.id));
    }
    expect(firstSeen.indexOf('b')).toBeGreaterThan(0);
    expect(firstSeen.indexOf('b')).toBeLessThan(firstSeen.indexOf('c'));
  });

  test('takes the lowest in priority first under that policy', () => {
    const s = crowded({ policy: 'priority' });
    let preempted: readonly string[] = [];
    while (preempted.length === 0) preempted = step(s).plan.preempted;
    expect(preempted).toEqual(['a']);
    expect(drained(s)).toMatchObject({ a: expect.any(Number), b: expect.any(Number) });
  });

  test('admits nobody in its step, not even one of higher priority that would fit', () => {
    const s = crowded({ policy: 'priority' });
    while (s.stats.numFreeBlocks > 0 || s.stats.generationTokens < 18) step(s);
    s.add(request('c', 2, { maxTokens: 1 }, -1));
    const { plan } = step(s);
    expect(plan.preempted).toEqual(['a']);
    expect(described(plan)).toEqual(['b@12+1!']);
    expect(described(step(s).plan)).toEqual(['b@13+1!', 'c@0+2!']);
  });

  test('does not follow an admission within a block of steps', () => {
    const s = scheduler({ numBlocks: 10, maxModelLen: 32 });
    for (const id of ['a', 'b', 'c', 'd', 'e']) s.add(request(id, 3, { maxTokens: 29 }));
    let stepsSinceAdmission = 0;
    while (s.hasWork) {
      const { plan } = step(s);
      stepsSinceAdmission = plan.entries.some((e) => e.start === 0) ? 0 : stepsSinceAdmission + 1;
      if (plan.preempted.length > 0) expect(stepsSinceAdmission).toBeGreaterThanOrEqual(4);
    }
    expect(s.stats.numPreemptions).toBeGreaterThan(0);
  });
});

describe('commit', () => {
  test('gives an event per sampled token with its logprobs, and the reason with the last one', () => {
    const s = scheduler();
    s.add(request('a', 2, { maxTokens: 2, numLogprobs: 0 }));
    const logprobs = { logprob: -0.5, top: [] };
    const first = s.commit(s.plan(), [{ tokenId: 9, logprobs }]);
    expect(first.events).toEqual([
      { requestId: 'a', event: { tokenId: 9, logprobs, finishReason: null, stopTokenId: null } },
    ]);
    const { result } = step(s);
    expect(finishReasons(result.events)).toEqual(['length']);
    expect(result.finished.map((q) => q.id)).toEqual(['a']);
    expect(result.finished[0]?.outputIds).toEqual([9, 9]);
  });

  test('ends each sequence for its own reason and frees its blocks', () => {
    const s = scheduler();
    s.add(request('eos', 2));
    s.add(request('stop', 2, { stopTokenIds: [20] }));
    s.add(request('on', 2));
    const { result } = step(s, { eos: EOS, stop: 20 });
    expect(finishReasons(result.events)).toEqual(['stop', 'stop', null]);
    expect(result.events.map(({ event }) => event.stopTokenId)).toEqual([null, 20, null]);
    expect(s.stats).toMatchObject({ numRunning: 1, numFreeBlocks: 63 });
  });

  test('clips maxTokens to the model', () => {
    const s = scheduler({ maxModelLen: 10 });
    s.add(request('a', 7, { maxTokens: 1000, ignoreEos: true }));
    expect(drained(s)).toEqual({ a: 3 });
  });

  test('gives no event for a chunk', () => {
    const s = scheduler({ maxNumBatchedTokens: 4 });
    s.add(request('a', 6));
    expect(step(s).result.events).toEqual([]);
    expect(step(s).result.events).toHaveLength(1);
  });

  test('refuses what does not belong to the step in flight, and changes nothing', () => {
    const s = scheduler({ maxUnknownTokens: () => 0 });
    s.add(request('a', 2));
    const plan = s.plan();
    expect(s.canPlan).toBe(false);
    expect(() => s.plan()).toThrow('not been committed');
    expect(() => s.commit(plan, [])).toThrow('0 results for 1 samples');
    expect(() => s.commit({ ...plan }, results(plan))).toThrow('not in flight');
    expect(s.commit(plan, results(plan)).events).toHaveLength(1);
    expect(() => s.commit(plan, results(plan))).toThrow('not in flight');
    s.assertInvariants();
  });
});

describe('abort', () => {
  const aborted = { tokenId: -1, logprobs: null, finishReason: 'abort', stopTokenId: null } as const;

  test('ends a waiting and a running request at once, each once', () => {
    const s = scheduler({ maxNumSeqs: 1 });
    s.add(request('a', 9));
    s.add(request('b', 9));
    step(s);
    for (const id of ['b', 'a']) {
      expect(s.abort(id)).toEqual({ requestId: id, event: aborted });
      expect(s.abort(id)).toBeNull();
      s.assertInvariants();
    }
    expect(s.hasWork).toBe(false);
    expect(s.stats.numFreeBlocks).toBe(64);
    expect(s.abort('unknown')).toBeNull();
  });

  test('during a step frees the blocks and drops its token', () => {
    const s = scheduler();
    s.add(request('a', 9));
    s.add(request('b', 2));
    const plan = s.plan();
    expect(s.abort('a')).toEqual({ requestId: 'a', event: aborted });
    expect(s.abort('a')).toBeNull();
    s.assertInvariants();
    expect(s.stats.numFreeBlocks).toBe(63);
    const result = s.commit(plan, results(plan));
    expect(result.events.map(({ requestId }) => requestId)).toEqual(['b']);
    expect(result.finished).toEqual([]);
    expect(s.stats).toMatchObject({ numFreeBlocks: 63, generationTokens: 1 });
    s.assertInvariants();
  });

  test('during a step frees the id for a new request', () => {
    const s = scheduler();
    s.add(request('a', 9));
    const plan = s.plan();
    s.abort('a');
    s.add(request('a', 2, { maxTokens: 2 }));
    s.assertInvariants();
    expect(s.commit(plan, results(plan)).events).toEqual([]);
    expect(drained(s)).toEqual({ a: 2 });
    expect(s.stats.numFreeBlocks).toBe(64);
  });
});

describe('add', () => {
  test('refuses requests that can never run', () => {
    const s = scheduler({ maxModelLen: 10 });
    s.add(request('twice', 2));
    const refused = [
      request('twice', 2),
      request('empty', []),
      request('long', 10),
      request('negative', [-1]),
      request('fraction', [1.5]),
      request('large', [VOCAB_SIZE]),
      request('none', 2, { maxTokens: 0 }),
      request('nan', 2, { maxTokens: Number.NaN }),
    ];
    for (const one of refused) {
      expect(() => s.add(one)).toThrow(EngineError);
      expect(() => s.add(one)).toThrow(expect.objectContaining({ code: 'invalid-request' }));
    }
    expect(s.stats.numWaiting).toBe(1);
    s.add(request('longest', 9));
    expect(drained(s)).toEqual({ twice: 8, longest: 1 });
  });

  test('keeps its own copy of the prompt', () => {
    const s = scheduler();
    const promptTokenIds = Uint32Array.from([4, 5]);
    s.add({ ...request('a', 1), promptTokenIds });
    promptTokenIds[0] = 0;
    expect(s.plan().entries[0]?.sequence.tokenAt(0)).toBe(4);
  });

  test('draws seeds that repeat with the run and differ between requests', () => {
    const seeds = (seed: number) => {
      const s = scheduler({ seed });
      for (const id of ['a', 'b', 'c']) s.add(request(id, 2));
      return s.plan().entries.map((e) => e.sequence.seed.join());
    };
    expect(seeds(7)).toEqual(seeds(7));
    expect(new Set([...seeds(7), ...seeds(8), ...seeds(2 ** 32 + 7)]).size).toBe(9);
  });
});

test('options that no schedule can satisfy are refused', () => {
  const options = [
    { maxModelLen: 257 },
    { maxModelLen: 1 },
    { maxNumSeqs: 0 },
    { maxNumBatchedTokens: 0.5 },
    { numBlocks: 0 },
  ];
  for (const one of options) expect(() => scheduler(one)).toThrow(RangeError);
  expect(scheduler({ maxModelLen: 256 }).options.maxModelLen).toBe(256);
});
