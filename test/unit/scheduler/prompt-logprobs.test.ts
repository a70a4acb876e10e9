import { expect, test } from 'bun:test';
import type { StepPlan } from '../../../src/engine/plan.ts';
import type { Scheduler } from '../../../src/engine/scheduler.ts';
import type { PromptLogprobs } from '../../../src/engine/types.ts';
import { request, results, scheduler } from './fixtures.ts';

/** Scores that say which row they are of: rank = position + 1. */
function scores(plan: StepPlan): PromptLogprobs[][] {
  return plan.entries
    .map(({ sequence, start, numTokens }) => {
      const count = sequence.numRowsToScoreIn(start, numTokens);
      const first = Math.max(start, sequence.numScoredRows);
      return Array.from({ length: count }, (_, i) => ({ logprob: -1, rank: first + i + 1, top: [] }));
    })
    .filter((list) => list.length > 0);
}

/** One step; gives its events as text: `id:ranks` for scores, `id!token` for tokens. */
function step(s: Scheduler): { plan: StepPlan; events: string[] } {
  const plan = s.plan();
  const { events } = s.commit(plan, results(plan), scores(plan));
  s.assertInvariants();
  const shown = events.map(({ requestId, event }) =>
    event.promptLogprobs === undefined
      ? `${requestId}!${event.tokenId}`
      : `${requestId}:${event.promptLogprobs.map(({ rank }) => rank)}`,
  );
  return { plan, events: shown };
}

const scored = { numPromptLogprobs: 2, maxTokens: 2 };

test('scores come chunk by chunk, before the first token', () => {
  const s = scheduler({ maxNumBatchedTokens: 4 });
  s.add(request('a', 6, scored));
  expect(step(s).events).toEqual(['a:1,2,3,4']);
  expect(step(s).events).toEqual(['a:5', 'a!9']);
  expect(step(s).events).toEqual(['a!9']);
  expect(s.hasWork).toBe(false);
});

test('a prompt of one token has nothing to score', () => {
  const s = scheduler();
  s.add(request('a', 1, { ...scored, maxTokens: 1 }));
  expect(step(s).events).toEqual(['a!9']);
});

test('a cached prompt is computed again, but its blocks serve those after it', () => {
  const s = scheduler({ enablePrefixCaching: true });
  s.add(request('a', 14, { maxTokens: 1 }));
  expect(step(s).plan.numTokens).toBe(14);
  s.add(request('b', 14, { ...scored, maxTokens: 1 }));
  const second = step(s);
  expect(second.plan.numTokens).toBe(14);
  expect(second.events[0]).toBe('b:1,2,3,4,5,6,7,8,9,10,11,12,13');
  s.add(request('c', 14, { maxTokens: 1 }));
  expect(step(s).plan.numTokens).toBe(2);
});

test('an aborted sequence takes its scores with it, and its neighbours keep theirs', () => {
  const s = scheduler({ maxNumBatchedTokens: 8 });
  s.add(request('a', 4, scored));
  s.add(request('b', 4, scored));
  const plan = s.plan();
  s.abort('a');
  const { events } = s.commit(plan, results(plan), scores(plan));
  expect(events.map(({ requestId }) => requestId)).toEqual(['b', 'b']);
  expect(events[0]?.event.promptLogprobs?.map(({ rank }) => rank)).toEqual([1, 2, 3]);
  s.assertInvariants();
});
