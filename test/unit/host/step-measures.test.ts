/** What the engine measures: sizes of steps and beginnings of sequences, from the meter through the frames. */
import { expect, test } from 'bun:test';
import { FRAME_HEADER_BYTES } from '../../../src/engine/host/frames.ts';
import { emptyStats } from '../../../src/engine/host/status.ts';
import { decodeStep, encodeStepFrame } from '../../../src/engine/host/step-codec.ts';
import type { StepPlan } from '../../../src/engine/plan.ts';
import { StepMeter } from '../../../src/engine/step-meter.ts';
import type { TokenEvent } from '../../../src/engine/types.ts';

const event: TokenEvent = { tokenId: 5, logprobs: null, finishReason: null, stopTokenId: null };
const planOf = (numTokens: number, ...ids: string[]): StepPlan =>
  // Only what is measured.
  ({ numTokens, entries: ids.map((id) => ({ sequence: { id, numCachedTokens: 16 } })) }) as unknown as StepPlan;

test('steps are counted by size', () => {
  const meter = new StepMeter();
  for (const numTokens of [1, 2, 8, 16_384, 16_385]) meter.planned(planOf(numTokens), 0);
  expect(meter.sizes).toEqual({ counts: [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], totalTokens: 32_780 });
});

test('the first event of a sequence tells how long it waited, and no later one', () => {
  const meter = new StepMeter();
  meter.submitted('a', 100);
  meter.submitted('b', 150);
  meter.planned(planOf(3, 'a'), 120);
  meter.planned(planOf(3, 'a', 'b'), 200);
  const marked = meter.marked([
    { requestId: 'a', event },
    { requestId: 'b', event },
  ]);
  expect(marked.map((one) => one.event.start)).toEqual([
    { queueMs: 20, cachedTokens: 16 },
    { queueMs: 50, cachedTokens: 16 },
  ]);
  expect(meter.marked([{ requestId: 'a', event }])[0]?.event).toBe(event);
});

test('a sequence that was given up leaves nothing behind', () => {
  const meter = new StepMeter();
  meter.submitted('a', 0);
  meter.planned(planOf(1, 'a'), 1);
  meter.forget('a');
  meter.submitted('b', 2);
  meter.forget('b');
  meter.planned(planOf(1, 'b'), 3);
  const events = [
    { requestId: 'a', event },
    { requestId: 'b', event },
  ];
  expect(meter.marked(events)).toBe(events);
});

test('both cross the border of the process', () => {
  const stats = { ...emptyStats, stepSizes: { counts: [1, 2, 3], totalTokens: 2 ** 40 } };
  const started = { ...event, start: { queueMs: 1.5, cachedTokens: 32 } };
  const frame = encodeStepFrame(stats, [
    { handle: 1, event: started },
    { handle: 2, event },
  ]);
  const seen: unknown[] = [];
  const decoded = decodeStep(frame.subarray(FRAME_HEADER_BYTES), (handle, one) => seen.push([handle, one]));
  expect(decoded).toEqual(stats);
  expect(seen).toEqual([
    [1, started],
    [2, event],
  ]);
});
