/** When an engine counts as stalled, on a clock of the test's own. */
import { expect, test } from 'bun:test';
import type { EngineStats } from '../../../src/engine/types.ts';
import { ProgressWatch } from '../../../src/routes/ops/live.ts';

const stats = (numRunning: number, numSteps: number): EngineStats => ({
  numRunning,
  numWaiting: 0,
  numBlocks: 1,
  numFreeBlocks: 1,
  numPreemptions: 0,
  numSteps,
  promptTokens: 0,
  generationTokens: 0,
  prefixQueryTokens: 0,
  prefixHitTokens: 0,
  hostStepMs: 0,
});

const longMs = 3_600_000;

test('work without a step for long is a stall; a step, an idle engine or a restart is not', () => {
  let nowMs = 0;
  const watch = new ProgressWatch(() => nowMs);
  const look = (afterMs: number, numRunning: number, numSteps: number, state: 'ready' | 'restarting' = 'ready') => {
    nowMs += afterMs;
    return watch.isStalled(state, stats(numRunning, numSteps));
  };
  expect(look(0, 0, 5)).toBe(false);
  // The first look at work after a long silence cannot know how long it has been there.
  expect(look(longMs, 1, 5)).toBe(false);
  expect(look(1000, 1, 5)).toBe(false);
  expect(look(longMs, 1, 6)).toBe(false);
  expect(look(longMs, 1, 6)).toBe(true);
  expect(look(1000, 1, 7)).toBe(false);
  expect(look(longMs, 1, 7, 'restarting')).toBe(false);
  expect(look(longMs, 1, 7)).toBe(false);
  expect(look(longMs, 0, 7)).toBe(false);
});
