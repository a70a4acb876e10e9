import { describe, expect, test } from 'bun:test';
import type { ExtraSamplers, SamplingParams } from '../../../src/engine/types.ts';
import { MirostatState } from '../../../src/sampling/mirostat.ts';
import { uniformOf } from '../../../src/sampling/random.ts';
import type { SampleSource } from '../../../src/sampling/source.ts';
import { editsOf, MirroredPreparer } from '../../helpers/mirrored-edits.ts';
import { coinOf, extras } from '../../helpers/sampling-extras.ts';
import { source } from '../../helpers/sampling-source.ts';
import { editedReference } from '../../reference/sample.ts';

const entriesOf = ({ count, words }: { count: number; words: Uint32Array }) => {
  const floats = new Float32Array(words.buffer);
  return Array.from({ length: count }, (_, i) => [words[i * 4] ?? -1, ...floats.subarray(i * 4 + 1, i * 4 + 4)]);
};

const prepared = (...rows: Partial<SamplingParams>[]) =>
  new MirroredPreparer(100, []).prepare(rows.map((params) => source(params)));

describe('stages', () => {
  test('a row enters only those that it asks for', () => {
    const { stages } = prepared(
      {},
      extras({ typicalP: 0.5 }),
      extras({}),
      { temperature: 0.75, ...extras({ topNSigma: 1.5, dynatempRange: 0.5, dynatempExponent: 2 }) },
      { temperature: 0.25, ...extras({ dynatempRange: 0.5, xtcProbability: 1, xtcThreshold: 0.25 }) },
    );
    expect(entriesOf(stages.typical)).toEqual([[1, 0.5, 0, 0]]);
    expect(entriesOf(stages.sigma)).toEqual([[3, 1.5, 0, 0]]);
    expect(entriesOf(stages.dynatemp)).toEqual([
      [3, 0.25, 1.25, 2],
      [4, 0, 0.75, 1],
    ]);
    expect(entriesOf(stages.xtc)).toEqual([[4, Math.fround(Math.log(0.25)), 0, 0]]);
    expect(stages.mirostat.count).toBe(0);
  });

  test('greedy rows enter none, mirostat replaces all, and the next step starts anew', () => {
    const preparer = new MirroredPreparer(100, []);
    const all = { typicalP: 0.5, topNSigma: 1, xtcProbability: 1, dynatempRange: 1 };
    const mirostat = { tau: 4, eta: 0.5 };
    const rows = [
      source({ temperature: 0, topP: 0.5, ...extras({ ...all, mirostat }) }),
      source({ topP: 0.5, topK: 3, minP: 0.1, ...extras({ ...all, mirostat }) }),
    ];
    const out = preparer.prepare(rows);
    for (const stage of ['sigma', 'typical', 'xtc', 'dynatemp'] as const) expect(out.stages[stage].count).toBe(0);
    expect(entriesOf(out.stages.mirostat)).toEqual([[1, 8, 0, 0]]);
    expect(out).toMatchObject({ usesTopP: false, usesTopK: false, usesMinP: false, usesDrawTemperature: false });
    preparer.prepare([source({})]);
    expect(out.stages.mirostat.count + out.stages.feedback.length).toBe(0);
  });

  test('the list of a stage grows', () => {
    const rows = Array.from({ length: 100 }, (_, i) => extras({ topNSigma: i + 1 }));
    expect(entriesOf(prepared(...rows).stages.sigma).map(([row, n]) => [row, n])).toEqual(
      rows.map((_, i) => [i, i + 1]),
    );
  });

  test('the temperature comes first, unless it is told to come last or depends on what is left', () => {
    const out = prepared(
      { temperature: 0.5 },
      { temperature: 0.5, ...extras({ temperatureLast: true }) },
      { temperature: 0.5, ...extras({ dynatempRange: 0.25 }) },
      { temperature: 0, ...extras({ temperatureLast: true, dynatempRange: 1 }) },
    );
    expect([...out.temperature.subarray(0, 4)]).toEqual([0.5, 1, 1, 0]);
    expect([...out.drawTemperature.subarray(0, 4)]).toEqual([0.5, 0.5, -1, 0]);
    expect(out.usesDrawTemperature).toBe(true);
    expect(prepared({ temperature: 0.5 }).usesDrawTemperature).toBe(false);
  });
});

describe('xtc', () => {
  const isExcluding = (changes: Partial<ExtraSamplers>, row: Partial<SampleSource>) => {
    const one = { ...source(extras(changes)), ...row };
    return new MirroredPreparer(100, []).prepare([one]).stages.xtc.count === 1;
  };

  test('the coin is the generator of the draw, at counters of its own', () => {
    for (const [low, high, position] of [
      [0, 0, 0],
      [1, 2, 3],
      [0xffffffff, 0x12345678, 4_000_000_000],
    ] as const) {
      const row = source({}, { seed: [low, high], promptIds: { length: position } as number[] });
      expect(uniformOf([low, high], position)).toBe(coinOf(row));
    }
  });

  test('as often as its probability says, and the same for the same seed and position', () => {
    const seen = Array.from({ length: 2000 }, (_, i) =>
      isExcluding(
        { xtcProbability: 0.3 },
        { seed: [i % 40, 7], promptIds: { length: Math.floor(i / 40) } as number[] },
      ),
    );
    const share = seen.filter((one) => one).length / seen.length;
    expect(Math.abs(share - 0.3)).toBeLessThan(0.04);
    expect(isExcluding({ xtcProbability: 0.3 }, { seed: [0, 7] })).toBe(seen[0] as boolean);
  });

  test('zero, and a threshold that no two tokens reach, switch it off', () => {
    expect(isExcluding({ xtcProbability: 0 }, {})).toBe(false);
    expect(isExcluding({ xtcProbability: 1, xtcThreshold: 0.51 }, {})).toBe(false);
    expect(isExcluding({ xtcProbability: 1, xtcThreshold: 0.5 }, {})).toBe(true);
    expect(isExcluding({ xtcProbability: 1, xtcThreshold: 0 }, {})).toBe(true);
  });
});

describe('mirostat', () => {
  test('starts at twice the target and moves against the error', () => {
    const state = new MirostatState({ tau: 5, eta: 0.1 });
    expect(state.begin(0)).toBe(10);
    state.take(7);
    expect(state.begin(1)).toBeCloseTo(9.8, 12);
    state.take(1);
    expect(state.begin(2)).toBeCloseTo(10.2, 12);
  });

  test('a token that was not appended, or sampled again, counts once or not at all', () => {
    const state = new MirostatState({ tau: 5, eta: 0.1 });
    state.begin(0);
    state.take(25);
    expect(state.begin(0)).toBe(10);
    state.take(7);
    expect(state.begin(1)).toBeCloseTo(9.8, 12);
    expect(state.begin(1)).toBeCloseTo(9.8, 12);
    state.take(Number.NaN);
    expect(state.begin(2)).toBeCloseTo(9.8, 12);
  });

  test('each sequence has its own, which outlives the steps without it', () => {
    const preparer = new MirroredPreparer(100, []);
    const [a, b] = [0, 1].map(() => source(extras({ mirostat: { tau: 5, eta: 1 } }))) as [
      ReturnType<typeof source>,
      SampleSource,
    ];
    const { stages } = preparer.prepare([a, b]);
    stages.feedback[0]?.take(7);
    a.outputIds.push(1);
    preparer.prepare([b]);
    expect(entriesOf(preparer.prepare([b, a]).stages.mirostat)).toEqual([
      [0, 10, 0, 0],
      [1, 8, 0, 0],
    ]);
  });
});

describe('the window of the penalties', () => {
  test('agrees with the reference at every step, whatever leaves it', () => {
    for (const repeatLastN of [0, 1, 3, 8, 500, -1]) {
      for (const changes of [
        { repetitionPenalty: 1.5 },
        { frequencyPenalty: 0.5, presencePenalty: 0.25 },
        { repetitionPenalty: 0.8, frequencyPenalty: -0.5 },
      ]) {
        const row = source({ ...changes, ...extras({ repeatLastN }) }, { promptIds: [1, 2, 3, 2, 1, 5] });
        const preparer = new MirroredPreparer(10, []);
        for (let step = 0; step < 20; step++) {
          const logits = Float64Array.from({ length: 10 }, (_, id) => id - 4.5);
          const want = editedReference(logits, { ...row, eosTokenIds: [] });
          const got = editsApplied(preparer, row, logits);
          for (let id = 0; id < 10; id++) expect(got[id]).toBeCloseTo(want[id] ?? 0, 5);
          row.outputIds.push((step * step) % 7);
        }
      }
    }
  });
});

/** What the shader does with a row's edits. */
function editsApplied(preparer: MirroredPreparer, row: SampleSource, logits: Float64Array): Float64Array {
  const edited = logits.slice();
  for (const [id, { bias, repetition, penalty }] of editsOf(preparer.prepare([row]), 0)) {
    const x = (edited[id] ?? 0) + bias;
    edited[id] = (x > 0 ? x / repetition : x * repetition) - penalty;
  }
  return edited;
}
