/** Limits of what is in progress, and the time to come back. */
import { expect, test } from 'bun:test';
import { ApiError } from '../../../src/serving/errors.ts';
import type { GenerationPlan } from '../../../src/serving/generation.ts';
import { admissionLimits, InFlight } from '../../../src/serving/in-flight.ts';

const planOf = (promptTokens: number, numChoices = 1): GenerationPlan =>
  // Only what is counted.
  ({
    promptTokens,
    choices: Array.from({ length: numChoices }, (_, index) => ({
      index,
      request: { promptTokenIds: new Uint32Array(promptTokens) },
    })),
  }) as unknown as GenerationPlan;

function refusalOf(inFlight: InFlight, plan: GenerationPlan): ApiError {
  try {
    inFlight.admit(plan);
  } catch (error) {
    return error as ApiError;
  }
  throw new Error('it was admitted');
}

test('defaults follow the size of the engine', () => {
  const size = { maxNumSeqs: 256, maxModelLen: 4096, numBlocks: 1000, blockSize: 16 };
  const unset = { maxNumQueuedReqs: null, maxNumQueuedTokens: null };
  expect(admissionLimits(unset, size)).toEqual({ maxSequences: 512, maxQueuedTokens: 32_000 });
  expect(admissionLimits(unset, { ...size, maxNumSeqs: 4, numBlocks: 10 })).toEqual({
    maxSequences: 64,
    maxQueuedTokens: 16_384,
  });
  expect(admissionLimits({ maxNumQueuedReqs: 7, maxNumQueuedTokens: 8 }, size)).toEqual({
    maxSequences: 7,
    maxQueuedTokens: 8,
  });
});

test('the time to come back follows how fast the queue moves, within bounds, and is spread', () => {
  let nowMs = 0;
  let chance = 0;
  const inFlight = new InFlight({
    limits: () => ({ maxSequences: 3, maxQueuedTokens: 1000 }),
    nowMs: () => nowMs,
    random: () => chance,
  });
  const first = inFlight.admit(planOf(200));
  const second = inFlight.admit(planOf(600));
  expect(refusalOf(inFlight, planOf(300)).retryAfterSeconds).toBe(5);
  nowMs = 2000;
  first.tokens(0, 1);
  // 200 tokens in 2 s: the other 600 take 6 s.
  expect(refusalOf(inFlight, planOf(500))).toMatchObject({ status: 503, retryAfterSeconds: 6 });
  chance = 1;
  expect(refusalOf(inFlight, planOf(500)).retryAfterSeconds).toBe(9);
  second.tokens(0, 1);
  expect(refusalOf(inFlight, planOf(1, 2)).retryAfterSeconds).toBe(2);
  expect(inFlight.numRejections).toEqual({ requests: 1, tokens: 3 });
});

test('a choice waits until its own first token', () => {
  const inFlight = new InFlight({ limits: () => null, nowMs: () => 0, random: () => 0 });
  const ticket = inFlight.admit(planOf(10, 3));
  expect([inFlight.numSequences, inFlight.numQueuedTokens]).toEqual([3, 30]);
  ticket.tokens(1, 1);
  ticket.tokens(1, 2);
  ticket.choiceEnded('stop', 2, 1);
  expect([inFlight.numSequences, inFlight.numQueuedTokens]).toEqual([2, 20]);
  ticket.ended();
  ticket.ended();
  expect([inFlight.numRequests, inFlight.numSequences, inFlight.numQueuedTokens]).toEqual([0, 0, 0]);
});

test('all that is open is given up at once', () => {
  const inFlight = new InFlight({ limits: () => null, nowMs: () => 0, random: () => 0 });
  const told: unknown[] = [];
  const over = inFlight.admit(planOf(1));
  over.bind({ cancel: () => told.push('over') });
  over.ended();
  over.bind({ cancel: () => told.push('late') });
  inFlight.admit(planOf(1)).bind({ cancel: (error) => told.push(error) });
  const reason = new ApiError(503, 'Over.');
  inFlight.cancelAll(reason);
  expect(told).toEqual([reason]);
});

test('what enters takes room until it is admitted or leaves', () => {
  const inFlight = new InFlight({
    limits: () => ({ maxSequences: 2, maxQueuedTokens: 100 }),
    nowMs: () => 0,
    random: () => 0,
  });
  const [one, two, three] = [{}, {}, {}];
  inFlight.enter(one);
  inFlight.enter(two);
  expect(() => inFlight.enter(three)).toThrow('2 sequences are in progress');
  inFlight.leave(two);
  const ticket = inFlight.admit(planOf(5), one);
  inFlight.leave(one);
  inFlight.enter(three);
  expect(() => inFlight.enter(two)).toThrow('at its limit');
  inFlight.leave(three);
  ticket.ended();
  // However large: nothing else is in progress.
  expect(inFlight.admit(planOf(500, 7), two)).toBeDefined();
});
