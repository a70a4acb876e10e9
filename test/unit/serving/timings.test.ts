import { expect, test } from 'bun:test';
import type { GenerationPlan } from '../../../src/serving/generation.ts';
import { RequestTimer } from '../../../src/serving/timings.ts';

/** A plan of choices with prompts of ten tokens. */
const plan = (numChoices: number): GenerationPlan => {
  const choices = Array.from({ length: numChoices }, (_, index) => ({
    index,
    request: { promptTokenIds: new Uint32Array(10) },
  }));
  return { choices } as unknown as GenerationPlan;
};

test('rates come from the times between submission, first step, first and last token', () => {
  let nowMs = 100;
  const timer = new RequestTimer(plan(2), () => nowMs);
  timer.started(0, { queueMs: 20, cachedTokens: 4 });
  timer.started(1, { queueMs: 50, cachedTokens: 8 });
  nowMs = 200;
  timer.tokens(0, 1);
  timer.tokens(1, 1);
  nowMs = 700;
  timer.tokens(0, 3);
  timer.tokens(1, 2);
  nowMs = 710;
  expect(timer.timings()).toEqual({
    queue_ms: 50,
    time_to_first_token_ms: 100,
    total_ms: 610,
    // 20 - 12 tokens in 100 - 50 ms.
    prefill_tokens_per_second: 160,
    // 2 + 1 tokens after the first ones in 500 ms.
    decode_tokens_per_second: 6,
  });
  expect(timer.cachedTokens(2)).toBe(4);
  expect(timer.cachedTokens(1)).toBe(12);
});

test('what was not measured is null', () => {
  expect(new RequestTimer(plan(1), () => 0).timings()).toEqual({
    queue_ms: null,
    time_to_first_token_ms: null,
    total_ms: 0,
    prefill_tokens_per_second: null,
    decode_tokens_per_second: null,
  });
});
