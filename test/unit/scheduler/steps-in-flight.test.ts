/** Plans that are made before the results of those before them are known. */
import { expect, test } from 'bun:test';
import type { TokenEvent } from '../../../src/engine/types.ts';
import { described, EOS, request, results, scheduler, step } from './fixtures.ts';

function finishReasons(events: readonly { event: TokenEvent }[]): unknown[] {
  return events.map(({ event }) => event.finishReason);
}

test('decode beyond tokens that are not known, up to the limit and no further', () => {
  const s = scheduler();
  s.add(request('a', 3, { maxTokens: 3 }));
  const plans = [s.plan(), s.plan(), s.plan()];
  expect(plans.map(described)).toEqual([['a@0+3!'], ['a@3+1!'], ['a@4+1!']]);
  s.assertInvariants();
  expect(s.plan().entries).toEqual([]);
  expect(s.numInFlight).toBe(3);
  const reasons = plans.flatMap((plan) => finishReasons(s.commit(plan, results(plan)).events));
  expect(reasons).toEqual([null, null, 'length']);
  expect(s.stats).toMatchObject({ numFreeBlocks: 64, generationTokens: 3, numSteps: 3 });
});

test('results come in the order of the plans', () => {
  const s = scheduler();
  s.add(request('a', 3));
  const [first, second] = [s.plan(), s.plan()];
  expect(() => s.commit(second, results(second))).toThrow('not the oldest');
  s.commit(first, results(first));
  s.commit(second, results(second));
});

test('what comes after a stop is dropped, and the blocks are free at the stop', () => {
  const s = scheduler();
  s.add(request('a', 3));
  s.add(request('b', 3));
  const [first, second] = [s.plan(), s.plan()];
  const stopped = s.commit(first, results(first, { a: EOS }));
  expect(finishReasons(stopped.events)).toEqual(['stop', null]);
  expect(stopped.finished.map(({ id }) => id)).toEqual(['a']);
  expect(s.stats.numFreeBlocks).toBe(63);
  s.assertInvariants();
  const later = s.commit(second, results(second));
  expect(later.events.map(({ requestId }) => requestId)).toEqual(['b']);
  expect(later.finished).toEqual([]);
  s.assertInvariants();
});

test('a preempted sequence takes its pending tokens before it is admitted again', () => {
  const s = scheduler({ numBlocks: 6, maxModelLen: 16 });
  s.add(request('a', 4, { maxTokens: 12 }));
  s.add(request('b', 4, { maxTokens: 12 }));
  let [older, newer] = [s.plan(), s.plan()];
  while (newer.preempted.length === 0) {
    s.commit(older, results(older));
    [older, newer] = [newer, s.plan()];
    s.assertInvariants();
  }
  expect(newer.preempted).toEqual(['b']);
  const { events } = s.commit(older, results(older, { b: 33 }));
  expect(events.find(({ requestId }) => requestId === 'b')?.event.tokenId).toBe(33);
  s.commit(newer, results(newer));
  s.assertInvariants();
  while (s.hasWork) step(s);
  expect(s.stats.generationTokens).toBe(24);
});

test('wait for a sequence whose next token depends on its newest, and for one that is scored', () => {
  const s = scheduler({
    maxUnknownTokens: ({ presencePenalty }) => (presencePenalty > 0 ? 0 : Number.POSITIVE_INFINITY),
  });
  s.add(request('a', 3));
  const first = s.plan();
  s.add(request('b', 3, { presencePenalty: 1, maxTokens: 2 }));
  expect(s.canPlan).toBe(true);
  const second = s.plan();
  expect(described(second)).toEqual(['a@3+1!', 'b@0+3!']);
  expect(s.canPlan).toBe(false);
  s.commit(first, results(first));
  expect(s.canPlan).toBe(false);
  s.commit(second, results(second));
  const third = s.plan();
  s.commit(third, results(third));
  s.add(request('c', 3, { numPromptLogprobs: 0 }));
  const fourth = s.plan();
  expect(described(fourth)).toEqual(['a@5+1!', 'c@0+3!']);
  expect(s.canPlan).toBe(false);
});

test('a sequence that bears one unknown token lets two steps be in flight, and no third until its last', () => {
  const s = scheduler({ maxUnknownTokens: () => 1 });
  s.add(request('a', 3, { maxTokens: 4 }));
  const first = s.plan();
  expect(s.canPlan).toBe(true);
  const second = s.plan();
  expect(s.canPlan).toBe(false);
  s.commit(first, results(first));
  expect(s.canPlan).toBe(true);
  const third = s.plan();
  expect(s.canPlan).toBe(false);
  s.commit(second, results(second));
  const last = s.plan();
  expect(described(last)).toEqual(['a@5+1!']);
  // It wants no more, so that it holds up nobody.
  expect(s.canPlan).toBe(true);
  s.add(request('b', 3));
  expect(described(s.plan())).toEqual(['b@0+3!']);
  s.commit(third, results(third));
  s.commit(last, results(last));
  s.assertInvariants();
});

test('a sequence that was aborted and came again under its name gets none of the old tokens', () => {
  const s = scheduler();
  s.add(request('a', 9));
  const [first, second] = [s.plan(), s.plan()];
  s.abort('a');
  s.add(request('a', 2, { maxTokens: 2 }));
  const third = s.plan();
  expect(described(third)).toEqual(['a@0+2!']);
  expect(s.commit(first, results(first)).events).toEqual([]);
  expect(s.commit(second, results(second)).events).toEqual([]);
  expect(s.commit(third, results(third)).events).toHaveLength(1);
  s.assertInvariants();
});
