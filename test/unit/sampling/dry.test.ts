import { describe, expect, test } from 'bun:test';
import type { DryPenalty } from '../../../src/engine/types.ts';
import { DryState, dryOf } from '../../../src/sampling/dry.ts';
import { NO_EXTRAS } from '../../helpers/sampling-extras.ts';
import { source } from '../../helpers/sampling-source.ts';
import { dryReference } from '../../reference/sample-extras.ts';

const plain: DryPenalty = { multiplier: 1, base: 2, allowedLength: 2, lastN: -1, breakers: [] };

function penaltiesOf(state: DryState, promptIds: readonly number[], outputIds: number[] = []): Map<number, number> {
  const into = new Map([[12345, 1]]);
  state.collect(source({}, { promptIds, outputIds }), into);
  return into;
}

const once = (dry: Partial<DryPenalty>, tokens: readonly number[]) =>
  Object.fromEntries(penaltiesOf(new DryState({ ...plain, ...dry }), tokens));

function randomOf(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe('repetitions', () => {
  test('the token that went on before is penalised, the more the longer the repetition', () => {
    expect(once({}, [1, 2, 3, 9, 1, 2])).toEqual({ 3: 1 });
    expect(once({}, [7, 1, 2, 3, 9, 7, 1, 2])).toEqual({ 3: 2 });
    expect(once({ multiplier: 0.5, base: 3 }, [7, 1, 2, 3, 9, 7, 1, 2])).toEqual({ 3: 1.5 });
    expect(once({}, [1, 2, 3, 9, 2])).toEqual({});
    expect(once({ allowedLength: 1 }, [1, 2, 3, 9, 2])).toEqual({ 3: 1 });
  });

  test('the longest of several repetitions decides, and each continuation has its own', () => {
    expect(once({}, [5, 1, 2, 3, 1, 2, 4, 5, 1, 2])).toEqual({ 3: 2, 4: 1 });
    expect(once({}, [1, 2, 3, 5, 1, 2, 3, 4, 5, 1, 2])).toEqual({ 3: 2 });
  });

  test('repetitions may overlap', () => {
    expect(once({}, [8, 8, 8, 8])).toEqual({ 8: 2 });
  });

  test('a breaker ends a repetition, and is not penalised itself', () => {
    expect(once({ breakers: [[1]] }, [7, 1, 2, 3, 9, 7, 1, 2])).toEqual({});
    expect(once({ breakers: [[7]] }, [7, 1, 2, 3, 9, 7, 1, 2])).toEqual({ 3: 1 });
    expect(once({ breakers: [[3]] }, [7, 1, 2, 3, 9, 7, 1, 2])).toEqual({});
    expect(once({ breakers: [[9, 7]] }, [7, 1, 2, 3, 9, 7, 1, 2])).toEqual({ 3: 1 });
    expect(once({ breakers: [[7, 1]] }, [7, 1, 2, 3, 9, 7, 1, 2])).toEqual({});
    expect(once({ breakers: [[3, 9, 9]] }, [7, 1, 2, 3, 9, 7, 1, 2])).toEqual({ 3: 2 });
  });

  test('only the newest tokens are searched', () => {
    const tokens = [1, 2, 3, 9, 9, 1, 2];
    expect(once({ lastN: 7 }, tokens)).toEqual({ 3: 1 });
    expect(once({ lastN: 6 }, tokens)).toEqual({});
  });

  test('penalties stay finite', () => {
    const tokens = Array.from({ length: 3000 }, () => 4);
    const penalty = once({ base: 90, multiplier: 7 }, tokens)[4] ?? Number.NaN;
    expect(penalty).toBe(1e30);
  });

  test('random sequences, followed token by token or taken at once, agree with the comparison of all positions', () => {
    const random = randomOf(5);
    for (let round = 0; round < 60; round++) {
      const dry: DryPenalty = {
        multiplier: 0.5,
        base: 1 + random(10) / 8,
        allowedLength: 1 + random(3),
        lastN: round % 3 === 0 ? 5 + random(40) : -1,
        breakers: [[], [[0]], [[0], [1, 2]], [[2, 2, 1]]][round % 4] ?? [],
      };
      const prompt = Array.from({ length: random(60) }, () => random(2 + (round % 4)));
      const output: number[] = [];
      const followed = new DryState(dry);
      for (let step = 0; step < 50; step++) {
        const want = dryReference([...prompt, ...output], dry);
        const got = penaltiesOf(followed, prompt, output);
        expect([...got].sort()).toEqual([...want].sort());
        // Steps are skipped now and then, as after a pause.
        for (let i = step % 11 === 10 ? 3 : 1; i > 0; i--) output.push(random(2 + (round % 4)));
      }
      expect(penaltiesOf(new DryState(dry), prompt, output)).toEqual(penaltiesOf(followed, prompt, output));
    }
  });
});

describe('whether there is one', () => {
  const of = (dry: Partial<DryPenalty>) =>
    dryOf(source({ extras: { ...NO_EXTRAS, dry: { ...plain, ...dry } } }).params);
  test('zero switches it off', () => {
    expect(of({})).toEqual(plain);
    expect(of({ multiplier: 0 })).toBeNull();
    expect(of({ lastN: 0 })).toBeNull();
    expect(dryOf(source({}).params)).toBeNull();
  });
});
