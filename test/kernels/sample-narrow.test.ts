import { describe, expect, test } from 'bun:test';
import type { GpuDevice } from '../../src/engine/gpu/device.ts';
import { EngineError, type SamplingParams } from '../../src/engine/types.ts';
import type { SampleSource } from '../../src/sampling/source.ts';
import { gpuTest, randomNumbers } from '../helpers/gpu.ts';
import { type SampledBatch, Sampler } from '../helpers/sampling.ts';
import { source } from '../helpers/sampling-source.ts';
import { drawReference, keptCountReference, keptReference, philox } from '../reference/sample.ts';

/** Of models with many tokens: 38 chunks, the last one short. */
const LARGE = 151_936;

/** The search of a row has a shape for GPUs and one for adapters that compute on the CPU. */
const SHAPES = [false, true].map((software) => ({ subgroups: false, f16: false, software }));

/** The draw among more tokens than these is left to other tests: the reference's generator is slow. */
const MOST_DRAWN = 500;

const gumbel = (word: number) => -Math.log(-Math.log1p(-(word + 0.5) / 2 ** 32));

interface Row {
  readonly name: string;
  readonly logits: Float32Array;
  readonly params: Partial<SamplingParams>;
}

function stackOf(rows: readonly Row[], vocab: number): Float32Array {
  const all = new Float32Array(rows.length * vocab);
  rows.forEach(({ logits }, i) => void all.set(logits, i * vocab));
  return all;
}

const sourcesOf = (rows: readonly Row[]): SampleSource[] =>
  rows.map(({ params }, i) => source(params, { seed: [i, 19], promptIds: [1, 2, 3] }));

/** Checks counts, the interval's ends, and the draw among what is kept. */
function check(rows: readonly Row[], got: SampledBatch, vocab: number): void {
  rows.forEach(({ name, logits, params: changes }, i) => {
    const { params } = source(changes);
    const kept = got.kept[i] ?? [];
    const want = keptCountReference(logits, params);
    if (kept.length !== want) {
      // Where float32 sums decide, thresholds may be off by their rounding.
      const near = (factor: number) =>
        keptCountReference(logits, { ...params, topP: params.topP * factor, minP: params.minP / factor });
      const [least, most] = [near(1 - 3e-6), params.topP * (1 + 3e-6) >= 1 ? vocab : near(1 + 3e-6)];
      const what = `${name} ${JSON.stringify(changes)}: kept ${kept.length}, expected ${want}`;
      if (kept.length < least || kept.length > most) throw new Error(`${what} (${least} to ${most})`);
      if (params.topP === 1 && params.minP === 0) throw new Error(what);
    }
    const isKept = new Uint8Array(vocab);
    let lowest = Number.POSITIVE_INFINITY;
    for (const id of kept) {
      isKept[id] = 1;
      lowest = Math.min(lowest, logits[id] ?? 0);
    }
    const higher = logits.findIndex((x, id) => x >= lowest && isKept[id] === 0);
    expect({ name, higher }).toEqual({ name, higher: -1 });
    const token = got.rows[i]?.tokenId ?? -1;
    expect({ name, isKept: isKept[token] }).toEqual({ name, isKept: 1 });
    if (kept.length > MOST_DRAWN) return;
    const noise = new Float64Array(vocab);
    for (const id of kept) noise[id] = gumbel(philox([id >> 2, 3, 0, 0], [i, 19])[id & 3] ?? 0);
    const draw = drawReference(logits, kept, params.temperature, noise);
    if (token !== draw.token && draw.gap > 1e-5 * (50 + params.temperature))
      throw new Error(`${name} ${JSON.stringify(changes)}: token ${token}, expected ${draw.token}`);
  });
}

/** Rows that are bad for a search by blocks, lists or slots. */
function hardRows(vocab: number): Row[] {
  const make = (value: (id: number) => number) => Float32Array.from({ length: vocab }, (_, id) => value(id));
  const noise = randomNumbers(5, vocab);
  const at = (id: number) => noise[id] ?? 0;
  const equal = make(() => 0.5);
  const two = make((id) => id % 2);
  const peak = make((id) => (id === vocab - 7 ? 1000 : at(id)));
  const masked = make((id) => (id % 97 === 0 ? at(id) * 3 : -3e38));
  const infinite = make((id) => (id % 5000 === 4 ? at(id) : Number.NEGATIVE_INFINITY));
  const flat = make((id) => at(id) * 0.01);
  const model = make((id) => at(id) * 3 - 4);
  const negative = make((id) => at(id) * 2 - 300);
  const rounded = make((id) => Math.round(at(id) * 4) / 4);
  // The best 64 logits all lie in one block, and its neighbour holds the best but for these.
  const crowded = make((id) => {
    const lane = (id >> 2) & 63;
    return id < 4096 && lane === 5 ? 20 + at(id) : lane === 6 && id < 4096 ? 18 + at(id) : at(id);
  });
  const cases: [string, Float32Array, Partial<SamplingParams>[]][] = [
    ['equal', equal, [{ topK: 1 }, { topK: 50, topP: 0.5 }, { topP: 1e-6 }, { minP: 1 }]],
    [
      'two values',
      two,
      [{ topK: 10 }, { topK: vocab - 1 }, { topP: 0.5 }, { topP: 0.9 }, { topK: 3, topP: 0.2, minP: 0.3 }],
    ],
    [
      'huge peak',
      peak,
      [{ topK: 50 }, { topK: 1 }, { topP: 0.999999 }, { topP: 1e-6 }, { topK: 5000, topP: 0.9, temperature: 100 }],
    ],
    [
      'masked',
      masked,
      [{ topK: 100 }, { topK: 5000 }, { topP: 0.9 }, { topK: 1500, topP: 0.5 }, { minP: 0.2, topP: 0.8 }],
    ],
    ['infinite', infinite, [{ topK: 20 }, { topP: 0.9 }, { topK: 20, topP: 0.7, minP: 0.01 }]],
    [
      'flat',
      flat,
      [{ topP: 0.9 }, { topP: 0.01 }, { topK: 70_000 }, { topK: 70_000, topP: 0.5 }, { topK: 40, topP: 0.9 }],
    ],
    [
      'like a model',
      model,
      [{ topK: 40, topP: 0.95, minP: 0.05, temperature: 0.8 }, { topP: 0.95 }, { topP: 0.999999, temperature: 1.5 }],
    ],
    [
      'like a model',
      model,
      [
        { topK: 40, temperature: 0.01, topP: 0.9 },
        { topK: 2000 },
        { topK: 1024, topP: 0.99 },
        { minP: 1e-6, topP: 0.98 },
      ],
    ],
    ['negative', negative, [{ topK: 300 }, { topP: 0.7, temperature: 1.3 }, { topK: 20, minP: 0.5 }]],
    ['rounded', rounded, [{ topK: 50 }, { topP: 0.5 }, { topK: 3000, topP: 0.99 }]],
    ['crowded', crowded, [{ topK: 40 }, { topK: 70, topP: 0.99 }, { topP: 0.9 }, { temperature: 0 }, {}]],
    ['off', model, [{ topK: vocab }, { topK: vocab + 5, topP: 1 }]],
  ];
  return cases.flatMap(([name, logits, all]) =>
    all.map((params): Row => ({ name, logits, params: { temperature: 1, ...params } })),
  );
}

async function dispatchesOf(device: GpuDevice, vocab: number, ...params: Partial<SamplingParams>[]): Promise<number> {
  const rows = params.map((one) => source(one));
  const logits = randomNumbers(2, rows.length * vocab, 3);
  return (await new Sampler(device, vocab, rows.length).run(rows, logits)).numDispatches;
}

describe('narrowing', () => {
  gpuTest('hard rows of a large vocabulary keep exactly what the reference keeps', async (device) => {
    const rows = hardRows(LARGE);
    for (const shape of SHAPES) {
      const sampler = new Sampler(device, LARGE, rows.length, [], shape);
      check(rows, await sampler.run(sourcesOf(rows), stackOf(rows, LARGE)), LARGE);
    }
  });

  gpuTest('hard rows of small vocabularies, down to a single token', async (device) => {
    for (const vocab of [1, 3, 63, 300, 2000, 4099]) {
      const rows = hardRows(vocab).map((row) => ({
        ...row,
        params: { ...row.params, topK: Math.min(row.params.topK ?? 0, vocab) },
      }));
      for (const shape of SHAPES) {
        const sampler = new Sampler(device, vocab, rows.length, [], shape);
        const usable = rows.filter(({ logits }) => logits.some(Number.isFinite));
        check(usable, await sampler.run(sourcesOf(usable), stackOf(usable, vocab)), vocab);
      }
    }
  });

  gpuTest('every run gives the same bits, whatever stands beside a row', async (device) => {
    const all = hardRows(LARGE).filter((_, i) => i % 3 === 0);
    for (const shape of SHAPES) {
      const sampler = new Sampler(device, LARGE, all.length, [], shape);
      const sources = sourcesOf(all);
      const first = await sampler.run(sources, stackOf(all, LARGE));
      const second = await sampler.run(sources, stackOf(all, LARGE));
      const turned = await sampler.run([...sources].reverse(), stackOf([...all].reverse(), LARGE));
      for (const [i, row] of all.entries()) {
        const at = all.length - 1 - i;
        expect({ row: row.name, kept: second.kept[i]?.length }).toEqual({ row: row.name, kept: first.kept[i]?.length });
        expect(second.rows[i]).toEqual(first.rows[i]);
        expect(turned.kept[at]?.length).toBe(first.kept[i]?.length as number);
        expect(turned.rows[at]).toEqual(first.rows[i]);
      }
    }
  });

  gpuTest('logits that are not finite are an error here, too', async (device) => {
    const vocab = 5000;
    for (const shape of SHAPES) {
      const sampler = new Sampler(device, vocab, 2, [], shape);
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        for (const params of [
          { topK: 5, topP: 0.9 },
          { topP: 0.5, minP: 0.1 },
        ]) {
          const logits = randomNumbers(1, 2 * vocab);
          logits.fill(value, vocab + (value > 0 ? 77 : 0), value > 0 ? vocab + 99 : 2 * vocab);
          const run = sampler.run([source({}), source(params)], logits);
          await expect(run).rejects.toThrow(EngineError);
        }
      }
    }
  });

  gpuTest('the usual truncations cost two dispatches together, and the whole of sampling four', async (device) => {
    const all = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 };
    expect(await dispatchesOf(device, LARGE, { temperature: 0 })).toBe(2);
    expect(await dispatchesOf(device, LARGE, { temperature: 0.7 }, { temperature: 0 })).toBe(2);
    for (const params of [{ topK: 5 }, { topP: 0.9 }, { minP: 0.1 }, { topK: 5, topP: 0.9 }, all]) {
      expect(await dispatchesOf(device, LARGE, params)).toBe(4);
    }
    expect(await dispatchesOf(device, LARGE, { topK: 5 }, { temperature: 0 }, { topP: 0.9 }, { minP: 0.1 }, all)).toBe(
      4,
    );
    expect(await dispatchesOf(device, LARGE, { ...all, logitBias: [[7, 1]] })).toBe(5);
    expect(await dispatchesOf(device, LARGE, { ...all, logitBias: [[7, 1]], allowedTokenIds: [7, 8, 9] })).toBe(6);
    expect(await dispatchesOf(device, LARGE, { ...all, numLogprobs: 20 })).toBe(6);
    expect(await dispatchesOf(device, 2000, all)).toBe(4);
  });
});

test('both references keep the same', () => {
  const x = randomNumbers(1, 300, 3).map((value) => Math.round(value * 8) / 8);
  for (const params of [
    { topK: 7 },
    { topP: 0.6 },
    { minP: 0.01, topK: 50, topP: 0.8, temperature: 0.7 },
    { minP: 1 },
  ]) {
    const full = { ...source(params).params };
    expect(keptCountReference(x, full)).toBe(keptReference(x, full).length);
  }
});
