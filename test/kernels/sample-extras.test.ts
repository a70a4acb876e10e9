import { describe, expect, test } from 'bun:test';
import type { ExtraSamplers, SamplingParams } from '../../src/engine/types.ts';
import type { SampleSource } from '../../src/sampling/source.ts';
import { gpuTest, randomNumbers } from '../helpers/gpu.ts';
import { Sampler } from '../helpers/sampling.ts';
import { checkExtras, coinOf, extras } from '../helpers/sampling-extras.ts';
import { source } from '../helpers/sampling-source.ts';
import { keptReference } from '../reference/sample.ts';
import { type Chain, chainReference, probabilitiesOf, surpriseReference } from '../reference/sample-extras.ts';

/** One chunk and several: they take different kernels. */
const VOCABS = [511, 9000];

/** Rows of logits of four kinds: a language model's, flat, very peaked, rounded so that many are equal. */
function logitsOf(seed: number, rows: number, vocab: number): Float32Array {
  const logits = randomNumbers(seed, rows * vocab);
  for (let i = 0; i < logits.length; i++) {
    const x = logits[i] ?? 0;
    const kind = Math.floor(i / vocab) % 4;
    logits[i] = kind === 0 ? x * 2.5 - 10 : kind === 1 ? x * 0.02 + 5 : kind === 2 ? x * 12 - 40 : Math.round(x * 3);
  }
  return logits;
}

/** A row for each of the seeds, with the same parameters. */
const rowsOf = (count: number, params: Partial<SamplingParams>): SampleSource[] =>
  Array.from({ length: count }, (_, i) => source(params, { seed: [i, 31] }));

const dry = { multiplier: 2, base: 1.5, allowedLength: 2, lastN: -1, breakers: [[9]] };

/** What is switched on alone, and whether it leaves tokens out. */
const single: readonly (readonly [string, Partial<ExtraSamplers>, boolean])[] = [
  ['typical_p', { typicalP: 0.7 }, true],
  ['typical_p, narrow', { typicalP: 0.05 }, true],
  ['top_n_sigma', { topNSigma: 1 }, true],
  ['top_n_sigma, wide', { topNSigma: 2.7 }, true],
  ['xtc', { xtcProbability: 1, xtcThreshold: 0.02 }, true],
  ['xtc, half of the time', { xtcProbability: 0.5, xtcThreshold: 0.05 }, true],
  ['dynatemp', { dynatempRange: 0.5 }, false],
  ['dynatemp down to greedy', { dynatempRange: 5, dynatempExponent: 2.5 }, false],
  ['mirostat', { mirostat: { tau: 3, eta: 0.1 } }, true],
];

describe('further samplers', () => {
  gpuTest('each alone agrees with the reference, and has an effect', async (device) => {
    for (const vocab of VOCABS) {
      const sampler = new Sampler(device, vocab, 16);
      for (const [name, changes, truncates] of single) {
        const rows = rowsOf(8, { temperature: 0.8, ...extras(changes) });
        const logits = logitsOf(vocab, rows.length, vocab);
        const got = await sampler.run(rows, logits);
        let numLeftOut = 0;
        let numMoved = 0;
        rows.forEach((row, i) => {
          const chain = checkExtras(row, logits.subarray(i * vocab, (i + 1) * vocab), got, i, 6);
          numLeftOut += vocab - chain.kept.length;
          if (Math.abs(chain.temperature - 0.8) > 0.01) numMoved++;
        });
        expect({ name, truncates: numLeftOut > 0, heats: numMoved > 0 }).toEqual({
          name,
          truncates,
          heats: name.startsWith('dynatemp'),
        });
      }
    }
  });

  gpuTest('all together agree with the reference, in whatever mixture', async (device) => {
    const numRows = 40;
    for (const vocab of VOCABS) {
      const uniform = randomNumbers(vocab + 7, numRows * 12).map((x) => Math.abs(x) % 1);
      const rows = Array.from({ length: numRows }, (_, i) => {
        const u = uniform.subarray(i * 12);
        const on = (k: number, value: number, off: number) => ((i >> (k % 5)) % 2 === k % 2 ? value : off);
        const at = (k: number) => u[k] ?? 0;
        return source(
          {
            temperature: 0.3 + 1.5 * at(0),
            topP: on(0, 0.3 + 0.69 * at(1), 1),
            topK: Math.floor(on(1, 1 + vocab * at(2) ** 3, 0)),
            minP: on(2, 0.2 * at(3) ** 2, 0),
            ...extras({
              typicalP: on(3, 0.1 + 0.89 * at(4), 1),
              topNSigma: on(4, 0.5 + 2 * at(5), 0),
              xtcProbability: on(5, at(6), 0),
              xtcThreshold: 0.4 * at(7) ** 2,
              dynatempRange: on(6, at(8), 0),
              dynatempExponent: 0.3 + 2 * at(9),
              temperatureLast: i % 7 === 0,
            }),
            logitBias: [[i, 3]],
            bannedSequences: [[i + 1]],
          },
          { seed: [i, 5], promptIds: Array.from({ length: i }, () => 1) },
        );
      });
      const logits = logitsOf(vocab + 1, numRows, vocab);
      const got = await new Sampler(device, vocab, numRows).run(rows, logits);
      rows.forEach((row, i) => void checkExtras(row, logits.subarray(i * vocab, (i + 1) * vocab), got, i));
    }
  });

  gpuTest('draws follow the distribution of a coin, two temperatures and three truncations', async (device) => {
    const [vocab, numRows] = [40, 10240];
    const one = randomNumbers(12, vocab, 1.5);
    const logits = new Float32Array(numRows * vocab);
    for (let row = 0; row < numRows; row++) logits.set(one, row * vocab);
    const params = {
      temperature: 0.9,
      topP: 0.98,
      ...extras({ typicalP: 0.9, xtcProbability: 0.4, xtcThreshold: 0.08, dynatempRange: 0.6 }),
    };
    const want = new Float64Array(vocab);
    for (const [coin, share] of [
      [0.1, 0.4],
      [0.9, 0.6],
    ] as const) {
      const { kept, temperature } = chainReference(one, { ...source(params).params }, { coin, mu: 0, shift: 0 });
      const p = probabilitiesOf(
        kept.map((id) => one[id] ?? 0),
        temperature,
      );
      kept.forEach((id, rank) => {
        want[id] = (want[id] ?? 0) + share * (p[rank] ?? 0);
      });
    }
    const rows = Array.from({ length: numRows }, (_, i) =>
      source(params, { promptIds: { length: i } as number[], seed: [3, 0] }),
    );
    const counts = new Float64Array(vocab);
    for (const { tokenId } of (await new Sampler(device, vocab, numRows).run(rows, logits)).rows) {
      counts[tokenId] = (counts[tokenId] ?? 0) + 1;
    }
    let chiSquare = 0;
    want.forEach((p, id) => {
      if (p === 0) expect(counts[id]).toBe(0);
      else chiSquare += ((counts[id] ?? 0) - p * numRows) ** 2 / (p * numRows);
    });
    const numKept = want.filter((p) => p > 0).length;
    expect(numKept).toBeGreaterThan(10);
    // Above the 99.9th percentile for as many degrees of freedom, by Wilson and Hilferty.
    const freedom = numKept - 1;
    expect(chiSquare).toBeLessThan(freedom * (1 - 2 / (9 * freedom) + 3.09 * Math.sqrt(2 / (9 * freedom))) ** 3);
  });

  gpuTest('temperature_last truncates at temperature 1 and draws at the temperature', async (device) => {
    for (const vocab of VOCABS) {
      const logits = logitsOf(2, 2, vocab);
      logits.copyWithin(vocab, 0, vocab);
      const changes = { topP: 0.7, minP: 0.01 };
      const rows = [
        source({ ...changes, temperature: 1.7, ...extras({ temperatureLast: true }) }),
        source({ ...changes, temperature: 1 }),
      ];
      const got = await new Sampler(device, vocab, 2).run(rows, logits);
      expect(got.kept[0]).toEqual(got.kept[1] ?? []);
      expect(got.temperatures).toEqual([Math.fround(1.7), 1]);
      checkExtras(rows[0] as SampleSource, logits.subarray(0, vocab), got, 0);
    }
  });

  gpuTest('mirostat steers the surprise to its target, by the feedback of each token', async (device) => {
    const vocab = 9000;
    const sampler = new Sampler(device, vocab, 3);
    const [tau, eta] = [4, 0.2];
    const row = source({ temperature: 1.2, ...extras({ mirostat: { tau, eta } }) }, { seed: [8, 8] });
    const neighbour = source({ topK: 5 });
    let mu = 2 * tau;
    let total = 0;
    const numSteps = 60;
    for (let step = 0; step < numSteps; step++) {
      const logits = logitsOf(step, 2, vocab);
      const own = logits.slice(0, vocab);
      // The row moves within the batch, and is alone now and then.
      const batch = [[row, neighbour], [row], [neighbour, row]][step % 3] ?? [];
      const index = batch.indexOf(row);
      if (index === 1) logits.copyWithin(vocab, 0, vocab);
      const got = await sampler.run(batch, logits.subarray(0, batch.length * vocab));
      const chain: Chain = checkExtras(row, own, got, index, mu);
      const token = got.rows[index]?.tokenId ?? -1;
      const surprise = surpriseReference(own, chain, token);
      total += surprise;
      mu -= eta * (surprise - tau);
      row.outputIds.push(token);
    }
    expect(Math.abs(total / numSteps - tau)).toBeLessThan(0.4);
  });

  gpuTest('a repetition is penalised among the other edits', async (device) => {
    const vocab = 511;
    const seen = { promptIds: [5, 6, 7, 8, 9, 1, 2, 3, 4], outputIds: [9, 1, 2, 3] };
    const rows = [
      source({ temperature: 0.5, ...extras({ dry }) }, seen),
      source(
        {
          frequencyPenalty: 0.5,
          bannedSequences: [[2, 3, 4]],
          logitBias: [[4, 1]],
          ...extras({ dry: { ...dry, breakers: [], base: 3 } }),
        },
        seen,
      ),
      source({ repetitionPenalty: 1.3, presencePenalty: 1, ...extras({ repeatLastN: 3 }) }, seen),
      source({ temperature: 0, ...extras({ dry: { ...dry, multiplier: 50 } }) }, seen),
    ];
    const logits = logitsOf(4, rows.length, vocab);
    logits[3 * vocab + 4] = 80;
    const got = await new Sampler(device, vocab, rows.length).run(rows, logits);
    rows.slice(0, 3).forEach((row, i) => void checkExtras(row, logits.subarray(i * vocab, (i + 1) * vocab), got, i));
    expect(got.edited[0]?.[4]).toBeCloseTo((logits[4] ?? 0) - 2 * 1.5, 4);
    expect(got.edited[1]?.[4]).toBeLessThan(-1e30);
    expect(got.rows[3]?.tokenId).not.toBe(4);
  });

  gpuTest('a row gives the same token alone, in a batch, and at another place in it', async (device) => {
    for (const vocab of VOCABS) {
      const rows = [
        ...single.map(([, changes], i) => source(extras(changes), { seed: [i, 3] })),
        source({ topK: 50, topP: 0.9 }),
        source({ temperature: 0, numLogprobs: 2 }),
        source({ topP: 0.8, numLogprobs: 0, ...extras({ mirostat: { tau: 2, eta: 1 }, typicalP: 0.1 }) }),
        source({ minP: 0.1, ...extras({ typicalP: 0.5, topNSigma: 2, xtcProbability: 1, dynatempRange: 1 }) }),
      ];
      const logits = logitsOf(3, rows.length, vocab);
      const sampler = new Sampler(device, vocab, rows.length);
      const together = await sampler.run(rows, logits);
      const turned = new Float32Array(logits.length);
      for (let i = 0; i < rows.length; i++) {
        const own = logits.subarray(i * vocab, (i + 1) * vocab);
        turned.set(own, (rows.length - 1 - i) * vocab);
        const alone = await sampler.run([rows[i] as SampleSource], own);
        expect(alone.rows[0]).toEqual(together.rows[i] as (typeof together.rows)[number]);
      }
      expect((await sampler.run([...rows].reverse(), turned)).rows.reverse()).toEqual(together.rows);
    }
  });

  gpuTest('greedy rows stay greedy, whatever else is set', async (device) => {
    const vocab = 511;
    const rows = single.map(([, changes]) => source({ temperature: 0, ...extras(changes) }));
    const logits = logitsOf(6, rows.length, vocab);
    const got = await new Sampler(device, vocab, rows.length).run(rows, logits);
    rows.forEach((_, i) => {
      const own = logits.subarray(i * vocab, (i + 1) * vocab);
      expect(got.rows[i]?.tokenId).toBe(own.indexOf(own.reduce((best, x) => Math.max(best, x), -1e9)));
    });
  });

  gpuTest(
    'ties at an end are kept, a lone choice is never excluded, and banned rows still give a token',
    async (device) => {
      const vocab = 300;
      const flat = new Float32Array(vocab).fill(2);
      const lone = new Float32Array(vocab).fill(-20);
      lone[7] = 10;
      const pair = Float32Array.from(lone);
      pair[9] = 9.5;
      pair[11] = 9.5;
      const banned = new Float32Array(vocab).fill(-3e38);
      const gaps = Float32Array.from(lone);
      gaps[8] = Number.NEGATIVE_INFINITY;
      const all = extras({ typicalP: 0.5, topNSigma: 1, xtcProbability: 1, dynatempRange: 0.5 });
      const cases: readonly (readonly [Float32Array, Partial<SamplingParams>, readonly number[] | number | null])[] = [
        [flat, extras({ typicalP: 0.3 }), vocab],
        [flat, extras({ topNSigma: 0.5 }), vocab],
        [flat, extras({ xtcProbability: 1, xtcThreshold: 0.001 }), vocab],
        [flat, extras({ mirostat: { tau: 1, eta: 0 } }), vocab],
        [lone, extras({ xtcProbability: 1, xtcThreshold: 0.1 }), vocab],
        [pair, { topK: 3, ...extras({ xtcProbability: 1, xtcThreshold: 0.1 }) }, [9, 11]],
        [pair, extras({ mirostat: { tau: 0, eta: 0 } }), [7]],
        [pair, { topK: 3, ...extras({ xtcProbability: 1, xtcThreshold: 0.35 }) }, [7, 9, 11]],
        [lone, all, [7]],
        [gaps, all, [7]],
        [banned, all, null],
        [banned, extras({ mirostat: { tau: 5, eta: 0.1 } }), null],
      ];
      const logits = new Float32Array(cases.length * vocab);
      cases.forEach(([own], i) => void logits.set(own, i * vocab));
      const rows = cases.map(([, params]) => source(params));
      const got = await new Sampler(device, vocab, cases.length).run(rows, logits);
      cases.forEach(([, , want], i) => {
        const kept = got.kept[i] ?? [];
        if (typeof want === 'number') expect({ i, kept: kept.length }).toEqual({ i, kept: want });
        else if (want !== null) expect({ i, kept }).toEqual({ i, kept: [...want] });
        expect(got.rows[i]?.tokenId).toBeLessThan(vocab);
      });
    },
  );

  gpuTest(
    'rows without them get the same bits beside rows with them, and nothing is dispatched for nobody',
    async (device) => {
      for (const [vocab, searches] of [
        [511, 1],
        [9000, 6],
      ] as const) {
        const sampler = new Sampler(device, vocab, 4);
        const logits = logitsOf(9, 2, vocab);
        const dispatches = async (...params: Partial<SamplingParams>[]) =>
          (
            await sampler.run(
              params.map((one) => source(one)),
              logits.subarray(0, params.length * vocab),
            )
          ).numDispatches;
        const plain = await dispatches({ topP: 0.9 });
        const neutral = { topP: 0.9, ...extras({}) };
        expect(await dispatches(neutral)).toBe(plain);
        expect(await dispatches(neutral, { topP: 0.9, ...extras({ xtcProbability: 1, xtcThreshold: 0.6 }) })).toBe(
          plain,
        );
        expect(await dispatches({ topP: 0.9, temperature: 0.5, ...extras({ temperatureLast: true }) })).toBe(plain);
        const cost: Record<string, number> = {};
        for (const [name, changes] of single) cost[name] = (await dispatches(neutral, extras(changes))) - plain;
        const half = coinOf(source({})) <= 0.5;
        expect(cost).toEqual({
          // The neighbour's top-p comes after these two, in a dispatch of its own.
          typical_p: 2 + searches + 1,
          'typical_p, narrow': 2 + searches + 1,
          top_n_sigma: 3,
          'top_n_sigma, wide': 3,
          xtc: 2,
          'xtc, half of the time': half ? 2 : 0,
          dynatemp: 2,
          'dynatemp down to greedy': 2,
          mirostat: 4,
        });
        const alone = await sampler.run([source({ topP: 0.9 })], logits.subarray(0, vocab));
        const beside = await sampler.run(
          [source({ topP: 0.9 }), source(extras({ typicalP: 0.5, xtcProbability: 1, dynatempRange: 1 }))],
          logits,
        );
        expect(beside.kept[0]).toEqual(alone.kept[0] ?? []);
        expect(beside.rows[0]).toEqual(alone.rows[0] as (typeof alone.rows)[number]);
      }
    },
  );
});

test('the reference agrees with itself where only the common truncations are on', () => {
  const x = randomNumbers(1, 200, 3);
  const params = { ...source({ topK: 50, topP: 0.8, minP: 0.02, temperature: 0.7 }).params, ...extras({}) };
  expect(chainReference(x, params, { coin: 1, mu: 0, shift: 0 }).kept).toEqual(keptReference(x, params));
});
