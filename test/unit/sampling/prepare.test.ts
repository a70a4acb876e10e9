import { describe, expect, test } from 'bun:test';
import { EDIT_ROW_WORDS } from '../../../src/engine/ops/sample-batch.ts';
import { EDIT_WORDS } from '../../../src/sampling/edit-table.ts';
import { editsOf, MirroredPreparer } from '../../helpers/mirrored-edits.ts';
import { extras } from '../../helpers/sampling-extras.ts';
import { source } from '../../helpers/sampling-source.ts';

const banned = (edits: ReturnType<typeof editsOf>) =>
  [...edits].filter(([, { bias }]) => bias <= -1e30).map(([tokenId]) => tokenId);

describe('rows', () => {
  test('carry what the GPU reads, neutral values switched off', () => {
    const preparer = new MirroredPreparer(100, []);
    const out = preparer.prepare([
      source(
        { temperature: 0.5, topK: 7, topP: 0.9, minP: 0.25, numLogprobs: 3 },
        { promptIds: [1, 2], outputIds: [3], seed: [8, 9] },
      ),
      source({ temperature: 0, topK: 5, topP: 0.5, minP: 0.5 }),
      source({ temperature: 1, topK: 100, numLogprobs: 0 }),
      source({ temperature: 9e-6, topK: 3, numLogprobs: 50 }),
    ]);
    expect(out.numRows).toBe(4);
    expect([...out.temperature.subarray(0, 4)]).toEqual([0.5, 0, 1, 0]);
    expect([...out.topK.subarray(0, 4)]).toEqual([7, 0, 0, 0]);
    expect([...out.topP.subarray(0, 4)]).toEqual([Math.fround(0.9), 1, 1, 1]);
    expect(out.logMinP[0]).toBe(Math.fround(Math.log(0.25)));
    expect([...out.logMinP.subarray(1, 4)].every((x) => x <= -1e30)).toBe(true);
    expect([out.seedLow[0], out.seedHigh[0], out.counter[0]]).toEqual([8, 9, 3]);
    expect([...out.numLogprobs.subarray(0, 4)]).toEqual([3, -1, 0, 20]);
    expect(out).toMatchObject({
      usesMinP: true,
      usesTopK: true,
      usesTopP: true,
      maxLogprobs: 20,
      numMasks: 0,
    });
    expect(out.edits).toMatchObject({ maxEdits: 0, numPatches: 0, uploads: [] });
    for (let row = 0; row < 4; row++) expect(out.edits.rows[row * EDIT_ROW_WORDS + 1]).toBe(0);
  });

  test('a step that needs nothing says so, whatever the step before it needed', () => {
    const preparer = new MirroredPreparer(100, []);
    preparer.prepare([
      source({ topK: 1, topP: 0.1, minP: 1, numLogprobs: 1, allowedTokenIds: [1], logitBias: [[1, 1]] }),
    ]);
    expect(preparer.prepare([source({})])).toMatchObject({
      ...{ usesMinP: false, usesTopK: false, usesTopP: false, maxLogprobs: -1 },
      ...{ numMasks: 0, edits: { maxEdits: 0, numPatches: 0, uploads: [] } },
    });
  });

  test('arrays are reused and only grow', () => {
    const preparer = new MirroredPreparer(100, []);
    const many = Array.from({ length: 40 }, () => source({ logitBias: [[1, 2]] }));
    const first = preparer.prepare(many);
    const { temperature } = first;
    const { rows, patches } = first.edits;
    expect(first.edits.uploads).toHaveLength(40);
    const second = preparer.prepare(many.slice(0, 3));
    expect(second.temperature).toBe(temperature);
    expect(second.edits.rows).toBe(rows);
    expect(second.edits.patches).toBe(patches);
    expect(second.edits.uploads).toHaveLength(0);
  });
});

describe('edits', () => {
  test('biases, once per token', () => {
    const out = new MirroredPreparer(100, []).prepare([
      source({}),
      source({
        logitBias: [
          [5, 2.5],
          [9, -100],
        ],
      }),
    ]);
    expect(editsOf(out, 0).size).toBe(0);
    expect(Object.fromEntries(editsOf(out, 1))).toEqual({
      5: { bias: 2.5, repetition: 1, penalty: 0 },
      9: { bias: -100, repetition: 1, penalty: 0 },
    });
    expect(out.edits.maxEdits).toBe(2);
  });

  test('repetition counts prompt and output, frequency and presence the output alone', () => {
    const params = { repetitionPenalty: 1.5, frequencyPenalty: 0.25, presencePenalty: 1 };
    const sequence = source(params, { promptIds: [1, 2, 2], outputIds: [2, 3, 3] });
    const preparer = new MirroredPreparer(100, []);
    expect(Object.fromEntries(editsOf(preparer.prepare([sequence]), 0))).toEqual({
      1: { bias: 0, repetition: 1.5, penalty: 0 },
      2: { bias: 0, repetition: 1.5, penalty: 1.25 },
      3: { bias: 0, repetition: 1.5, penalty: 1.5 },
    });
    sequence.outputIds.push(1, 4);
    const later = editsOf(preparer.prepare([sequence]), 0);
    expect(later.get(1)).toEqual({ bias: 0, repetition: 1.5, penalty: 1.25 });
    expect(later.get(3)).toEqual({ bias: 0, repetition: 1.5, penalty: 1.5 });
    expect(later.get(4)).toEqual({ bias: 0, repetition: 1.5, penalty: 1.25 });
  });

  test('a step reads only the tokens that are new, and a fresh preparer agrees with one that followed along', () => {
    const reads: number[] = [];
    const promptIds = new Proxy(
      Array.from({ length: 300 }, (_, i) => i % 90),
      {
        get(target, key) {
          if (typeof key === 'string' && /^\d+$/.test(key)) reads.push(Number(key));
          return Reflect.get(target, key);
        },
      },
    );
    const sequence = source({ repetitionPenalty: 1.1, frequencyPenalty: 0.1 }, { promptIds });
    const preparer = new MirroredPreparer(100, []);
    for (let i = 0; i < 200; i++) {
      preparer.prepare([sequence]);
      sequence.outputIds.push((i * i) % 97);
    }
    expect(reads.length).toBe(300);
    const followed = editsOf(preparer.prepare([sequence]), 0);
    expect(followed).toEqual(editsOf(new MirroredPreparer(100, []).prepare([sequence]), 0));
    expect(followed.get(0)?.penalty).toBe(Math.fround(0.1 * sequence.outputIds.filter((id) => id === 0).length));
  });

  test('a token that is not known yet moves the window, and is left to the GPU', () => {
    const sequence = source(
      { repetitionPenalty: 2, frequencyPenalty: 1, ...extras({ repeatLastN: 2 }) },
      { promptIds: [1, 2, 3], outputIds: [4] },
    );
    const preparer = new MirroredPreparer(100, []);
    const seen = (position: number) => {
      const out = preparer.prepare([sequence], [position]);
      const edits = [...editsOf(out, 0)].filter(([, { repetition, penalty }]) => repetition !== 1 || penalty !== 0);
      return [edits.map(([tokenId]) => tokenId), out.edits.rows[EDIT_ROW_WORDS - 1]];
    };
    expect(seen(4)).toEqual([[3, 4], 0]);
    expect(seen(5)).toEqual([[4], 1]);
    sequence.outputIds.push(7);
    expect(seen(5)).toEqual([[4, 7], 0]);
    expect(seen(6)).toEqual([[7], 1]);
    sequence.outputIds.push(4);
    expect(seen(7)).toEqual([[4], 1]);
    expect(() => seen(8)).toThrow('all tokens but the newest');
  });

  test('a step tells the GPU what changed and no more, whatever comes and goes beside', () => {
    const preparer = new MirroredPreparer(5000, [0]);
    const params = { repetitionPenalty: 1.5, frequencyPenalty: 0.25, minTokens: 3, stopTokenIds: [1, 2, 3] };
    const sequences: ReturnType<typeof source>[] = [];
    let numTold = 0;
    for (let step = 0; step < 300; step++) {
      if (step % 5 === 0) {
        const promptIds = Array.from({ length: (step * 7) % 400 }, (_, i) => (i * 11 + step) % 5000);
        sequences.push(source(params, { promptIds }));
      }
      if (sequences.length > 12) sequences.splice((step * 3) % 12, 1);
      const out = preparer.prepare(sequences);
      numTold += out.edits.numPatches;
      for (const { words } of out.edits.uploads) numTold += words.length / EDIT_WORDS;
      expect(out.edits.capacity).toBeLessThan(20_000);
      sequences.forEach((sequence, row) => {
        if ((step + row) % 7 > 0) return;
        const fresh = new MirroredPreparer(5000, [0]).prepare([sequence]);
        const active = (edits: ReturnType<typeof editsOf>) =>
          [...edits]
            .filter(([, { bias, repetition, penalty }]) => bias !== 0 || repetition !== 1 || penalty !== 0)
            .sort();
        expect(active(editsOf(out, row))).toEqual(active(editsOf(fresh, 0)));
      });
      for (const [row, { outputIds }] of sequences.entries()) outputIds.push((step * 31 + row * 7) % 5000);
    }
    expect(numTold).toBeLessThan(300 * 12 * 15);
    preparer.forgetGpu();
    expect(preparer.prepare(sequences).edits.uploads).toHaveLength(sequences.length);
  });

  test('two sequences with the same parameters do not share counts', () => {
    const params = { frequencyPenalty: 1 };
    const [a, b] = [source(params, { outputIds: [1] }), source(params, { outputIds: [2, 2] })];
    const out = new MirroredPreparer(100, []).prepare([a, b]);
    expect(editsOf(out, 0).get(1)?.penalty).toBe(1);
    expect(editsOf(out, 1).get(2)?.penalty).toBe(2);
    expect(editsOf(out, 1).size).toBe(1);
  });
});

describe('bans', () => {
  const bans = (
    params: Parameters<typeof source>[0],
    promptIds: number[],
    outputIds: number[] = [],
    eos: number[] = [],
  ) =>
    banned(editsOf(new MirroredPreparer(100, eos).prepare([source(params, { promptIds, outputIds })]), 0)).sort(
      (a, b) => a - b,
    );

  test('a single token always, a sequence where its beginning was just written', () => {
    const bannedSequences = [[4], [1, 2, 3], [2, 9], [7, 8]];
    expect(bans({ bannedSequences }, [])).toEqual([4]);
    expect(bans({ bannedSequences }, [1, 2])).toEqual([3, 4, 9]);
    expect(bans({ bannedSequences }, [5, 1], [2])).toEqual([3, 4, 9]);
    expect(bans({ bannedSequences }, [1, 2], [5])).toEqual([4]);
    expect(bans({ bannedSequences }, [2])).toEqual([4, 9]);
  });

  test('a ban of one step leaves no trace in the next, also on a token with a bias', () => {
    const sequence = source(
      {
        bannedSequences: [
          [1, 2],
          [1, 3],
        ],
        logitBias: [[2, 50]],
      },
      { promptIds: [1] },
    );
    const preparer = new MirroredPreparer(100, []);
    expect(banned(editsOf(preparer.prepare([sequence]), 0)).sort()).toEqual([2, 3]);
    sequence.outputIds.push(6);
    const later = editsOf(preparer.prepare([sequence]), 0);
    expect(banned(later)).toEqual([]);
    expect(later.get(2)?.bias).toBe(50);
  });

  test('end-of-sequence and stop tokens until enough tokens are out, each once', () => {
    const params = { minTokens: 2, stopTokenIds: [5, 6] };
    expect(bans(params, [1], [], [6, 99])).toEqual([5, 6, 99]);
    expect(bans(params, [1], [2], [6, 99])).toEqual([5, 6, 99]);
    expect(bans(params, [1], [2, 2], [6, 99])).toEqual([]);
  });

  test('a positive bias does not lift a ban', () => {
    expect(bans({ bannedSequences: [[4]], logitBias: [[4, 100]] }, [])).toEqual([4]);
  });
});

describe('masks', () => {
  test('only rows that name allowed tokens have one; ids outside the vocabulary are left out', () => {
    const out = new MirroredPreparer(70, []).prepare([
      source({}),
      source({ allowedTokenIds: [0, 31, 32, 69, 70, 95] }),
      source({ allowedTokenIds: [64] }),
    ]);
    expect(out.numMasks).toBe(2);
    expect([...out.maskRows.subarray(0, 2)]).toEqual([1, 2]);
    expect([...out.masks.subarray(0, 6)]).toEqual([0x80000001, 1, 1 << 5, 0, 0, 1]);
  });
});
