/** The rules of beam search and of best-of, on numbers made by hand. */
import { describe, expect, test } from 'bun:test';
import type { TokenLogprobs } from '../../../src/engine/types.ts';
import { type BeamRules, BeamState } from '../../../src/serving/beam-state.ts';
import { keepBest } from '../../../src/serving/best-of.ts';
import type { ChoiceUpdate } from '../../../src/serving/choice-decoder.ts';

const END = 9;
const rules: BeamRules = {
  numBeams: 2,
  lengthPenalty: 1,
  earlyStopping: false,
  endTokenIds: new Set([END]),
  minTokens: 0,
  maxTokens: 10,
};

const top = (...pairs: [number, number][]): TokenLogprobs['top'] =>
  pairs.map(([tokenId, logprob]) => ({ tokenId, logprob }));
const tokensOf = (beams: BeamState['running']): number[][] =>
  beams.map(({ tokens }) => tokens.map((event) => event.tokenId));

describe('beam search', () => {
  test('beams are the most probable continuations of all beams', () => {
    const state = new BeamState(rules);
    state.advance([top([1, -0.1], [2, -0.2], [3, -3])]);
    expect(tokensOf(state.running)).toEqual([[1], [2]]);
    state.advance([top([4, -5], [5, -6]), top([6, -0.1], [7, -0.2])]);
    expect(tokensOf(state.running)).toEqual([
      [2, 6],
      [2, 7],
    ]);
    expect(state.running[0]?.score).toBeCloseTo(-0.3);
  });

  test('an end among the best is kept; one that others outrank is dropped, and a beam goes on in its place', () => {
    const state = new BeamState(rules);
    state.advance([top([1, -0.1], [END, -0.2], [2, -0.3], [3, -0.4])]);
    expect(tokensOf(state.finished)).toEqual([[END]]);
    expect(tokensOf(state.running)).toEqual([[1], [2]]);
    state.advance([top([4, -0.1], [5, -0.2], [END, -3]), top([6, -4])]);
    expect(tokensOf(state.finished)).toEqual([[END]]);
  });

  test('an end before min_tokens is no candidate', () => {
    const state = new BeamState({ ...rules, minTokens: 1 });
    state.advance([top([END, -0.1], [1, -0.2], [2, -0.3])]);
    expect([tokensOf(state.finished), tokensOf(state.running)]).toEqual([[], [[1], [2]]]);
    state.advance([top([END, -0.1], [4, -0.2]), top([5, -3])]);
    expect(tokensOf(state.finished)).toEqual([[1, END]]);
  });

  test('the length ends everything that is among the best', () => {
    const state = new BeamState({ ...rules, maxTokens: 1, lengthPenalty: 0 });
    state.advance([top([1, -0.1], [2, -0.2], [3, -0.3])]);
    expect([tokensOf(state.finished), state.isDone]).toEqual([[[1], [2]], true]);
    expect(state.finished[0]?.tokens[0]?.finishReason).toBe('length');
  });

  /** Two hypotheses are complete after two steps; the best beam then has -0.4. */
  const afterTwo = (more: Partial<BeamRules>): BeamState => {
    const state = new BeamState({ ...rules, ...more });
    state.advance([top([END, -0.5], [1, -0.2])]);
    state.advance([top([4, -0.2], [END, -0.3])]);
    return state;
  };

  test('early stopping: at once, when no gain is likely, or when none is possible', () => {
    expect(afterTwo({ earlyStopping: true }).isDone).toBe(true);
    // -0.4 / 2 is above the worst hypothesis, -0.5.
    expect(afterTwo({ earlyStopping: false }).isDone).toBe(false);
    // By sums alone -0.4 beats -0.5.
    expect(afterTwo({ lengthPenalty: 0 }).isDone).toBe(false);
    // A negative penalty favours short ones: -0.4 * 2 is below.
    expect(afterTwo({ lengthPenalty: -1 }).isDone).toBe(false);
    const late = afterTwo({ lengthPenalty: 0 });
    late.advance([top([5, -0.3])]);
    expect(late.isDone).toBe(true);
    const never = afterTwo({ earlyStopping: 'never' });
    never.advance([top([5, -1.5])]);
    // -1.9 / 10 may still be reached at the full length, -1.9 / 3 not.
    expect(never.isDone).toBe(false);
    const likely = afterTwo({ earlyStopping: false });
    likely.advance([top([5, -1.5])]);
    expect(likely.isDone).toBe(true);
  });
});

describe('best of', () => {
  const update = (index: number, logprobs: number[], rest: Partial<ChoiceUpdate> = {}): ChoiceUpdate => ({
    index,
    text: `${index}`,
    logprobs: logprobs.map((logprob) => ({ tokenId: 1, text: 'x', bytes: [120], logprob, top: [] })),
    tokenIds: logprobs.map(() => 1),
    promptLogprobs: [],
    numTokens: logprobs.length,
    finish: { reason: 'stop', stopReason: null },
    ...rest,
  });
  const run = async (...batches: ChoiceUpdate[][]): Promise<ChoiceUpdate[]> => {
    const all: ChoiceUpdate[] = [];
    const source = (async function* () {
      yield* batches;
    })();
    for await (const batch of keepBest(source, { numCandidates: 2, numKept: 1 })) all.push(...batch);
    return all;
  };

  test('pieces are put together and compared by their sums', async () => {
    const kept = await run(
      [update(0, [-1], { finish: null }), update(1, [-2.5]), update(2, [-1]), update(3, [-0.5])],
      [update(0, [-1], { numTokens: 2 })],
    );
    expect(kept).toMatchObject([
      { index: 0, text: '00', numTokens: 2, tokenIds: [1, 1] },
      { index: 1, text: '3' },
    ]);
  });

  test('one that was given up comes last', async () => {
    const kept = await run([update(0, [], { finish: { reason: 'abort', stopReason: null } }), update(1, [-50])]);
    expect(kept).toMatchObject([{ index: 0, text: '1', finish: { reason: 'stop' } }]);
  });

  test('what was learnt of the prompt goes with the answer that is kept', async () => {
    const scored = { tokenId: 2, text: 'p', bytes: [112], logprob: -1, top: [], rank: 1 };
    const kept = await run([update(0, [-9], { promptLogprobs: [scored] }), update(1, [-1])]);
    expect(kept).toMatchObject([{ text: '1', promptLogprobs: [scored] }]);
  });
});
