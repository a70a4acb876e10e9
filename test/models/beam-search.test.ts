import { expect } from 'bun:test';
import { readFileSync } from 'node:fs';
import { InProcessEngine } from '../../src/engine/host/in-process.ts';
import { createLocalEngine } from '../../src/engine/local-engine.ts';
import type { Engine, TokenEvent } from '../../src/engine/types.ts';
import { type BeamOptions, BeamSearch } from '../../src/serving/beam-search.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, greedyParams, request, TEST_CONFIG } from '../helpers/model.ts';

interface GoldenSearch {
  readonly ids: readonly number[];
  readonly ends: readonly number[];
  readonly numBeams: number;
  readonly lengthPenalty: number;
  readonly earlyStopping: boolean | 'never';
  readonly minTokens: number;
  readonly maxTokens: number;
  readonly hypotheses: readonly { readonly tokens: readonly number[]; readonly score: number }[];
}

const path = new URL('../fixtures/goldens/beams.json', import.meta.url).pathname;
const golden = JSON.parse(readFileSync(path, 'utf8')) as { model: string; cases: GoldenSearch[] };

async function eventsOf(stream: AsyncIterable<readonly TokenEvent[]>): Promise<TokenEvent[]> {
  const all: TokenEvent[] = [];
  for await (const events of stream) all.push(...events);
  return all;
}

async function search(engine: Engine, wanted: GoldenSearch): Promise<TokenEvent[][]> {
  const options: BeamOptions = { ...wanted, endTokenIds: new Set(wanted.ends), stopTokenIds: [] };
  const beams = new BeamSearch(engine, request('beams', wanted.ids, greedyParams(wanted.maxTokens)), options);
  return Promise.all(wanted.hypotheses.map(() => eventsOf(beams.nextStream())));
}

gpuTest("beam search finds transformers' hypotheses, with the same scores", async () => {
  const init = { modelFolder: fixtureFolder(golden.model), config: TEST_CONFIG, extra: {} };
  const engine = new InProcessEngine(() => createLocalEngine(init, () => {}));
  await engine.ready();
  const results = await Promise.all(golden.cases.map((wanted) => search(engine, wanted)));
  golden.cases.forEach((wanted, i) => {
    const { hypotheses, ...options } = wanted;
    const got = (results[i] ?? []).map((events) => events.map((event) => event.tokenId));
    expect({ options, got }).toEqual({ options, got: hypotheses.map(({ tokens }) => [...tokens]) });
    hypotheses.forEach(({ tokens, score }, k) => {
      const events = results[i]?.[k] ?? [];
      const sum = events.reduce((total, event) => total + (event.logprobs?.logprob ?? Number.NaN), 0);
      expect(Math.abs(sum / tokens.length ** wanted.lengthPenalty - score)).toBeLessThan(1e-2 * Math.abs(score));
      const isEnded = wanted.ends.includes(tokens.at(-1) ?? -1);
      expect(events.at(-1)?.finishReason).toBe(isEnded ? 'stop' : 'length');
    });
  });
  const { numFreeBlocks, numBlocks } = engine.stats();
  expect(numFreeBlocks).toBe(numBlocks);
  await engine.close();
});
