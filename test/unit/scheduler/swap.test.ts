/** Preempted sequences whose blocks are saved, and prompts that wait for company. */
import { describe, expect, test } from 'bun:test';
import type { Scheduler } from '../../../src/engine/scheduler.ts';
import { described, request, results, scheduler, step } from './fixtures.ts';

/** Two sequences of 4 + 12 tokens in 6 blocks of 4, up to the plan that preempts b. */
function crowded(swapBlocks: number): { s: Scheduler; plan: ReturnType<Scheduler['plan']> } {
  const s = scheduler({ numBlocks: 6, maxModelLen: 16, swapBlocks });
  s.add(request('a', 4, { maxTokens: 12 }));
  s.add(request('b', 4, { maxTokens: 12 }));
  for (;;) {
    const plan = s.plan();
    s.assertInvariants();
    if (plan.preempted.length > 0) return { s, plan };
    s.commit(plan, results(plan));
  }
}

describe('saved blocks', () => {
  test('leave before the step that preempts, and come back where only the newest token is missing', () => {
    const { s, plan } = crowded(3);
    expect(plan.toSave.map(({ sequence, blocks }) => [sequence.id, blocks.length])).toEqual([['b', 3]]);
    s.commit(plan, results(plan));
    for (;;) {
      const next = step(s).plan;
      if (next.toRestore.length === 0) continue;
      expect(next.toRestore.map(({ sequence, blocks }) => [sequence.id, blocks.length])).toEqual([['b', 3]]);
      expect(described(next)).toEqual(['b@12+1!']);
      break;
    }
    while (s.hasWork) step(s);
    expect(s.stats).toMatchObject({ numFreeBlocks: 6, generationTokens: 24, numPreemptions: 1 });
  });

  test('are computed again where host memory is full', () => {
    const { s, plan } = crowded(2);
    expect(plan.toSave).toEqual([]);
    s.commit(plan, results(plan));
    const starts: string[] = [];
    while (s.hasWork) starts.push(...described(step(s).plan).filter((entry) => entry.startsWith('b')));
    expect(starts[0]).toBe('b@0+13!');
  });

  test('are given up with their sequence', () => {
    const { s, plan } = crowded(3);
    s.abort('b');
    s.assertInvariants();
    s.commit(plan, results(plan));
    s.add(request('b', 4, { maxTokens: 12 }));
    while (s.hasWork) expect(step(s).plan.toRestore).toEqual([]);
  });
});

describe('the delay of admissions', () => {
  test('lets prompts wait beside others in proportion to the last prompt step', () => {
    const s = scheduler({ delayFactor: 2 });
    const run = (nowMs: number) => {
      const plan = s.plan(nowMs);
      s.commit(plan, results(plan));
      return described(plan);
    };
    s.add(request('a', 3), 0);
    expect(run(0)).toEqual(['a@0+3!']);
    expect(run(10)).toEqual(['a@3+1!']);
    s.add(request('b', 3), 12);
    expect(run(20)).toEqual(['a@4+1!']);
    s.add(request('c', 3), 30);
    expect(run(32)).toEqual(['a@5+1!']);
    expect(run(33)).toEqual(['a@6+1!', 'b@0+3!', 'c@0+3!']);
  });

  test('does not hold up an idle engine', () => {
    const s = scheduler({ delayFactor: 100 });
    s.add(request('a', 3, { maxTokens: 1 }), 0);
    s.commit(s.plan(0), [{ tokenId: 9, logprobs: null }]);
    s.add(request('b', 3), 50);
    expect(described(s.plan(50))).toEqual(['b@0+3!']);
  });
});
