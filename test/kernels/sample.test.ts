import { describe, expect, test } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { EngineError, type SamplingParams } from '../../src/engine/types.ts';
import type { SampleSource } from '../../src/sampling/source.ts';
import goldens from '../fixtures/goldens/sampling.json' with { type: 'json' };
import { gpuTest, randomNumbers } from '../helpers/gpu.ts';
import { type SampledBatch, Sampler } from '../helpers/sampling.ts';
import { extras } from '../helpers/sampling-extras.ts';
import { PLAIN, source } from '../helpers/sampling-source.ts';
import { expectClose } from '../helpers/tolerance.ts';
import { logprobsReference } from '../reference/logprobs.ts';
import { drawReference, editedReference, gumbelReference, keptReference, MASKED, philox } from '../reference/sample.ts';

const EOS = 3;

/** Checks every row against the reference. Returns how many draws were too close to call. */
function check(sources: readonly SampleSource[], logits: Float32Array, vocab: number, got: SampledBatch): number {
  let numClose = 0;
  sources.forEach((row, i) => {
    const raw = logits.subarray(i * vocab, (i + 1) * vocab);
    const { params } = row;
    const what = `V=${vocab} row ${i} ${JSON.stringify(changesOf(params))}`;
    const edited = got.edited[i] ?? [];
    expectClose('logprob', edited, editedReference(raw, { ...row, eosTokenIds: [EOS] }), what, 50);
    const kept = keptReference(edited, params);
    expectKept(got.kept[i] ?? [], kept, edited, params, what);
    const counter = row.promptIds.length + row.outputIds.length;
    const noise = params.temperature > 0 ? gumbelReference(vocab, row.seed, counter) : [];
    const draw = drawReference(edited, kept, params.temperature, noise);
    const tokenId = got.rows[i]?.tokenId ?? -1;
    if (tokenId !== draw.token) {
      if (draw.gap > 1e-5 * (50 + params.temperature))
        throw new Error(`${what}: token ${tokenId}, expected ${draw.token}`);
      numClose++;
    }
    const logprobs = got.rows[i]?.logprobs;
    expect(logprobs === null).toBe(params.numLogprobs === null);
    if (logprobs) {
      const want = logprobsReference(raw);
      const top = want.order.slice(0, params.numLogprobs ?? 0);
      expect(logprobs.top.map((entry) => entry.tokenId)).toEqual(top);
      const pick = (ids: number[]) => ids.map((id) => want.logprobs[id] ?? 0);
      expectClose('logprob', [logprobs.logprob], pick([tokenId]), `${what} logprob`, 50);
      expectClose(
        'logprob',
        logprobs.top.map((entry) => entry.logprob),
        pick(top),
        `${what} top logprobs`,
        50,
      );
    }
  });
  return numClose;
}

function changesOf(params: SamplingParams) {
  return Object.fromEntries(
    Object.entries(params).filter(([key, value]) => value !== PLAIN[key as keyof SamplingParams]),
  );
}

/** The kept set equals the reference's; where float32 sums decide, it lies between those of a slightly lower and higher top-p. */
function expectKept(
  got: number[],
  want: number[],
  edited: ArrayLike<number>,
  params: SamplingParams,
  what: string,
): void {
  if (got.length === want.length) {
    expect([...want].sort((a, b) => a - b)).toEqual(got);
    return;
  }
  const near = (factor: number) =>
    keptReference(edited, { ...params, topP: params.topP * factor, minP: params.minP / factor }).length;
  if (params.topP * (1 + 2e-6) >= 1 && got.length >= near(1 - 2e-6)) return;
  if (got.length >= near(1 - 2e-6) && got.length <= near(1 + 2e-6)) return;
  throw new Error(`${what}: kept ${got.length} tokens, expected ${want.length}`);
}

/** Rows with all kinds of parameters. */
function mixed(vocab: number): SampleSource[] {
  const at = (share: number) => Math.floor(share * (vocab - 1));
  const promptIds = [at(0.1), at(0.5), at(0.9), at(0.5)];
  const outputIds = [at(0.3), at(0.5), at(0.3), at(1)];
  const seen = { promptIds, outputIds };
  const all: [Partial<SamplingParams>, object?][] = [
    [{ temperature: 0 }],
    [{}],
    [{ temperature: 0.7, topP: 0.9, numLogprobs: 0 }, { seed: [7, 0] }],
    [{ topK: 20, topP: 0.95, temperature: 0.6, minP: 0.05, numLogprobs: 20 }, { seed: [0xffffffff, 0xfffffffe] }],
    [{ repetitionPenalty: 1.3, temperature: 0, numLogprobs: 5 }, seen],
    [{ repetitionPenalty: 0.8, frequencyPenalty: 0.7, presencePenalty: -0.4, topK: 3 }, seen],
    [{ allowedTokenIds: [at(0), at(0.2), at(0.21), at(1)], logitBias: [[at(0.2), 5]], numLogprobs: 1 }, seen],
    [{ allowedTokenIds: [at(0.4), at(0.6)], temperature: 0, frequencyPenalty: 2 }, seen],
    [
      { bannedSequences: [[at(0.3), at(1), at(0)], [at(0.7)], [at(0.5), at(0.2)]], topK: 2, logitBias: [[at(0), 100]] },
      seen,
    ],
    [{ minTokens: 5, stopTokenIds: [at(0.8)], minP: 0.3, logitBias: [[EOS, 100]], numLogprobs: 2 }, seen],
    [{ topP: 0.01 }, { seed: [9, 9] }],
    [{ minP: 1, temperature: 2 }],
    [{ topP: 0.999999, temperature: 1.5 }, { seed: [5, 0] }],
    [{ topK: vocab - 1, minP: 1e-6 }, { seed: [6, 0] }],
    [{ topK: 1, temperature: 1.9 }],
  ];
  return all.map(([params, more], i) => source(params, { seed: [i, 77], ...more }));
}

async function checkMixed(
  device: GpuDevice,
  vocab: number,
  rows: readonly SampleSource[] = mixed(vocab),
): Promise<void> {
  const logits = randomNumbers(vocab, rows.length * vocab, 4);
  const got = await new Sampler(device, vocab, rows.length + 2, [EOS]).run(rows, logits);
  expect(check(rows, logits, vocab, got)).toBeLessThan(2);
}

describe('the generator', () => {
  test('gives the published words', () => {
    const hex = (words: number[]) => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const ones = 0xffffffff;
    expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
    const pi = philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
    expect(hex(pi)).toBe('d16cfe09 94fdcceb 5001e420 24126ea1');
  });
});

/** Of prompts, so that edits fill workgroups, all but fill them, or begin with the output. */
const LENGTHS = [300, 63, 1, 64, 128, 65, 0, 62, 2];

describe('sample', () => {
  gpuTest(
    'transformers keeps the same tokens, with the same probabilities and the same greedy choice',
    async (device) => {
      const sampler = new Sampler(device, goldens.vocab, 256);
      for (const golden of goldens.cases) {
        const params = { ...golden.params, logitBias: golden.params.logitBias as [number, number][] };
        const history = { promptIds: golden.prompt, outputIds: golden.output };
        const rows = [source({ ...params, temperature: 0 }, history)];
        for (let i = 0; i < 40; i++) rows.push(source(params, { ...history, seed: [i, 5] }));
        const logits = new Float32Array(rows.length * goldens.vocab);
        rows.forEach((_, row) => void logits.set(golden.logits, row * goldens.vocab));
        const got = await sampler.run(rows, logits);
        expect(got.rows[0]?.tokenId).toBe(golden.greedy);
        expect(got.kept[1]).toEqual([...golden.kept].sort((a, b) => a - b));
        const edited = golden.kept.map((id) => (got.edited[1]?.[id] ?? 0) / params.temperature);
        const probabilities = Array.from(logprobsReference(edited).logprobs, Math.exp);
        expectClose('logprob', probabilities, golden.probabilities, golden.name);
        expect(check(rows, logits, goldens.vocab, got)).toBe(0);
      }
    },
  );

  gpuTest('mixed rows agree with the reference in small vocabularies', async (device) => {
    for (const vocab of [1, 40, 511]) await checkMixed(device, vocab);
  });

  gpuTest('mixed rows agree with the reference in vocabularies of several chunks', async (device) => {
    await checkMixed(device, 5000);
    const rows = mixed(150001);
    const few = [0, 3, 5, 6, 9, 12].flatMap((i) => rows[i] ?? []);
    await checkMixed(device, 150001, few);
  });

  gpuTest('truncation keeps the right set of peaked, flat and rounded distributions', async (device) => {
    const numRows = 48;
    for (const vocab of [768, 6000]) {
      const uniform = randomNumbers(vocab, numRows * 4).map((x) => Math.abs(x) % 1);
      const rows = Array.from({ length: numRows }, (_, i) => {
        const [a = 0, b = 0, c = 0, d = 0] = uniform.subarray(i * 4);
        const params = {
          temperature: 0.2 + 1.8 * a,
          topK: i % 3 === 0 ? 0 : 1 + Math.floor(b * b * vocab),
          topP: i % 4 === 0 ? 1 : 0.01 + 0.989 * c,
          minP: i % 5 === 0 ? d * d : 0,
        };
        return source(params, { seed: [i, i] });
      });
      const logits = randomNumbers(vocab + 1, numRows * vocab);
      for (let i = 0; i < logits.length; i++) {
        const x = logits[i] ?? 0;
        const kind = Math.floor(i / vocab) % 4;
        logits[i] = kind === 0 ? x * 0.01 + 5 : kind === 1 ? x * 12 - 40 : kind === 2 ? Math.round(x * 4) : x * 3;
      }
      const got = await new Sampler(device, vocab, numRows).run(rows, logits);
      expect(check(rows, logits, vocab, got)).toBeLessThan(2);
    }
  });

  gpuTest('edits grow from step to step and across the buffers that hold them', async (device) => {
    const vocab = 5000;
    const sampler = new Sampler(device, vocab, 4, [EOS]);
    const growing = source(
      { repetitionPenalty: 1.2, frequencyPenalty: 0.1, temperature: 0, numLogprobs: 0 },
      { promptIds: [1, 2] },
    );
    for (const count of [1, 3, 700, 1500]) {
      const logits = randomNumbers(count, 2 * vocab, 4);
      const rows = [source({}), growing];
      expect(check(rows, logits, vocab, await sampler.run(rows, logits))).toBe(0);
      for (let i = 0; i < count; i++) growing.outputIds.push((i * 7) % vocab);
    }
  });

  gpuTest(
    'a newest token that the host does not know counts like one that it knows, to the last bit',
    async (device) => {
      for (const vocab of [70, 5000]) {
        const penalties = { repetitionPenalty: 1.3, frequencyPenalty: 0.37, presencePenalty: -0.21 };
        const promptIds = Array.from({ length: 300 }, (_, i) => (i * 13) % vocab);
        const kinds: Partial<SamplingParams>[] = [
          { repetitionPenalty: 1.3, temperature: 0, numLogprobs: 0 },
          { ...penalties, numLogprobs: 3 },
          { frequencyPenalty: 0.7, temperature: 0 },
          {
            ...penalties,
            logitBias: [[8, 6]],
            bannedSequences: [[9]],
            minTokens: 4,
            stopTokenIds: [1, 8],
            numLogprobs: 1,
          },
          { ...penalties, ...extras({ repeatLastN: 3 }) },
          { ...penalties, ...extras({ repeatLastN: 1 }), numLogprobs: 0 },
          { presencePenalty: 1.5, ...extras({ repeatLastN: 20 }), numLogprobs: 0 },
          { ...penalties, allowedTokenIds: [1, 2, 8, 9, 30, 31], numLogprobs: 2 },
          { numLogprobs: 1 },
        ];
        const rows = () =>
          kinds.map((params, i) => source(params, { promptIds: promptIds.slice(0, LENGTHS[i]), seed: [i, 3] }));
        const [told, kept] = [rows(), rows()];
        const [plain, ahead] = [new Sampler(device, vocab, 9, [EOS]), new Sampler(device, vocab, 9, [EOS])];
        // New to the row, known from the prompt, out again, banned, biased, with an edit already, and the same twice.
        for (const [step, tokenId] of [1, 26, 26, 30, 9, 8, 30, 31, 31, 69].entries()) {
          for (const row of [...told, ...kept]) row.outputIds.push(tokenId);
          const logits = randomNumbers(step + vocab, kinds.length * vocab, 4);
          const want = await plain.run(told, logits);
          const hidden = kinds.flatMap((_, i) => ((step + i) % 4 === 0 ? [] : [i]));
          const got = await ahead.run(kept, logits, hidden);
          expect(got.edited).toEqual(want.edited);
          expect(got.rows).toEqual(want.rows);
          expect(check(kept, logits, vocab, got)).toBeLessThan(2);
        }
      }
    },
  );

  gpuTest('ties: greedy takes the lowest id, thresholds keep all', async (device) => {
    for (const vocab of [300, 5000]) {
      const logits = new Float32Array(5 * vocab).fill(-2);
      const high = [17, 40, 41, 250];
      for (let row = 0; row < 5; row++) for (const id of high) logits[row * vocab + id] = 1.5;
      logits[17] = -0;
      logits[40] = 0;
      for (const id of [41, 250]) logits[id] = -1;
      const rows = [
        source({ temperature: 0 }),
        source({ topK: 2 }),
        source({ topP: 0.001 }),
        source({ minP: 1 }),
        source({ topK: 10 }),
      ];
      const got = await new Sampler(device, vocab, 5).run(rows, logits);
      expect(got.rows[0]?.tokenId).toBe(17);
      for (const row of [1, 2, 3]) expect(got.kept[row]).toEqual(high);
      expect(got.kept[4]?.length).toBe(vocab);
      expect(check(rows, logits, vocab, got)).toBe(0);
    }
  });

  gpuTest('extreme temperatures and logits', async (device) => {
    const vocab = 511;
    const rows = [1e-5, 0.01, 100, 1e6].flatMap((temperature) => [
      source({ temperature, seed: null }),
      source({ temperature, topP: 0.5, minP: 0.01, topK: 100 }),
    ]);
    const logits = randomNumbers(4, rows.length * vocab, 4);
    for (let row = 0; row < rows.length; row++) {
      logits[row * vocab + 100] = Number.NEGATIVE_INFINITY;
      logits[row * vocab + 101] = MASKED;
      logits[row * vocab + 102] = -1e30;
    }
    const got = await new Sampler(device, vocab, rows.length).run(rows, logits);
    rows.forEach(({ params, seed }, row) => {
      const edited = got.edited[row] ?? [];
      const kept = got.kept[row] ?? [];
      if (params.topK > 0)
        expect(kept.sort((a, b) => a - b)).toEqual(keptReference(edited, params).sort((a, b) => a - b));
      const draw = drawReference(edited, kept, params.temperature, gumbelReference(vocab, seed, 0));
      expect(got.rows[row]?.tokenId).toBe(draw.token);
      expect([100, 101, 102]).not.toContain(draw.token);
    });
  });

  gpuTest('20,480 draws follow the distribution', async (device) => {
    const vocab = 40;
    const numRows = 10240;
    const one = randomNumbers(11, vocab, 1.5);
    const logits = new Float32Array(numRows * vocab);
    for (let row = 0; row < numRows; row++) logits.set(one, row * vocab);
    const sampler = new Sampler(device, vocab, numRows);
    for (const [params, critical] of [
      [{}, 78.6],
      [{ temperature: 1.3, topP: 0.8, topK: 12 }, 37.4],
    ] as const) {
      const full = { ...PLAIN, ...params };
      const kept = keptReference(one, full);
      const want = Array.from(
        logprobsReference(kept.map((id) => (one[id] ?? 0) / full.temperature)).logprobs,
        Math.exp,
      );
      const counts = new Map<number, number>();
      for (const seed of [1, 2]) {
        // One sequence at many positions, as generation has it.
        const promptIds = Array.from({ length: numRows }, () => 0);
        const rows = promptIds.map((_, i) => source(params, { promptIds: { length: i } as number[], seed: [seed, 0] }));
        for (const { tokenId } of (await sampler.run(rows, logits)).rows)
          counts.set(tokenId, (counts.get(tokenId) ?? 0) + 1);
      }
      const numDraws = 2 * numRows;
      const chiSquare = kept.reduce((sum, id, i) => {
        const expected = (want[i] ?? 0) * numDraws;
        return sum + ((counts.get(id) ?? 0) - expected) ** 2 / expected;
      }, 0);
      expect([...counts.keys()].filter((id) => !kept.includes(id))).toEqual([]);
      expect(chiSquare).toBeLessThan(critical);
    }
  });

  gpuTest('a row gives the same token alone, in a batch, and at another place in it', async (device) => {
    for (const vocab of [511, 5000]) {
      const rows = mixed(vocab);
      const logits = randomNumbers(21, rows.length * vocab, 3);
      const sampler = new Sampler(device, vocab, rows.length, [EOS]);
      const together = (await sampler.run(rows, logits)).rows;
      const turned = new Float32Array(logits.length);
      for (let i = 0; i < rows.length; i++) {
        const own = logits.subarray(i * vocab, (i + 1) * vocab);
        turned.set(own, (rows.length - 1 - i) * vocab);
        const alone = await sampler.run([rows[i] as SampleSource], own);
        expect(alone.rows[0]).toEqual(together[i] as (typeof together)[number]);
      }
      expect((await sampler.run([...rows].reverse(), turned)).rows.reverse()).toEqual(together);
    }
  });

  gpuTest('logits that are not finite are an error, not a token', async (device) => {
    const sampler = new Sampler(device, 40, 2);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const logits = new Float32Array(80).fill(1);
      logits.fill(value, 40);
      const run = sampler.run([source({ temperature: 0 }), source({ temperature: 0 })], logits);
      await expect(run).rejects.toThrow(EngineError);
    }
  });
});
