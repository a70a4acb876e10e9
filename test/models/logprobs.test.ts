/** Log probabilities of generated tokens against the log-softmax of transformers' logits, and which candidates are best by them. */
import { expect } from 'bun:test';
import { readFileSync } from 'node:fs';
import type { TokenLogprobs } from '../../src/engine/types.ts';
import { allCandidates, CANDIDATE_CASES, type ScoredCase } from '../helpers/candidates.ts';
import { withCompletions } from '../helpers/fixture-app.ts';
import { readGolden } from '../helpers/goldens.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, greedyParams, loadTestModel, newScheduler, request } from '../helpers/model.ts';
import { expectClose } from '../helpers/tolerance.ts';

interface GeneratedEntry {
  readonly model: string;
  /** Index in the model's golden. */
  readonly prompt: number;
  /** The most probable tokens of each greedy step, and their log probabilities. */
  readonly tokens: readonly (readonly number[])[];
  readonly logprobs: readonly (readonly number[])[];
}

const NUM_LOGPROBS = 4;

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/goldens/${name}`, import.meta.url), 'utf8')) as T;
}

/** Greedy tokens of all prompts of a fixture at once, with their log probabilities. */
async function scoresOf(name: string, maxNumBatchedTokens: number): Promise<TokenLogprobs[][]> {
  const golden = readGolden(name);
  const model = await loadTestModel(fixtureFolder(name));
  const scheduler = newScheduler(model, { maxNumBatchedTokens });
  const params = greedyParams(golden.prompts[0]?.greedy.length ?? 0, { numLogprobs: NUM_LOGPROBS });
  golden.prompts.forEach(({ ids }, i) => {
    scheduler.add(request(String(i), ids, params));
  });
  const scores: TokenLogprobs[][] = golden.prompts.map(() => []);
  while (scheduler.hasWork) {
    const plan = scheduler.plan();
    for (const { requestId, event } of scheduler.commit(plan, (await model.runner.run(plan)).sampled).events) {
      if (event.logprobs !== null) scores[Number(requestId)]?.push(event.logprobs);
    }
  }
  model.device.close();
  return scores;
}

const { entries } = readJson<{ entries: readonly GeneratedEntry[] }>('generated.json');

for (const name of new Set(entries.map((entry) => entry.model))) {
  gpuTest(`${name}: each greedy token and its neighbours are as probable as in transformers`, async () => {
    for (const maxNumBatchedTokens of [128, 5]) {
      const scores = await scoresOf(name, maxNumBatchedTokens);
      for (const { prompt, tokens, logprobs } of entries.filter((entry) => entry.model === name)) {
        const own = scores[prompt] ?? [];
        expect(own.length).toBe(tokens.length);
        own.forEach(({ logprob, top }, step) => {
          const what = `prompt ${prompt}, step ${step}`;
          expect(top.length).toBe(NUM_LOGPROBS);
          const got = top.map((entry) => entry.logprob);
          expect(got).toEqual([...got].sort((a, b) => b - a));
          expect(logprob).toBe(got[0] ?? Number.NaN);
          // Near neighbours may change places: each is compared with the same token, and each place with the same place.
          const wanted = new Map(tokens[step]?.map((token, i) => [token, logprobs[step]?.[i] ?? Number.NaN]));
          const sameTokens = top.map((entry) => wanted.get(entry.tokenId) ?? Number.NaN);
          expect([what, sameTokens.some(Number.isNaN)]).toEqual([what, false]);
          expectClose('modelLogits', got, sameTokens, `${what}, by token`);
          expectClose('modelLogits', got, logprobs[step]?.slice(0, NUM_LOGPROBS) ?? [], `${what}, by place`);
        });
      }
    }
  });
}

const RECORD_AGAIN =
  'other candidates are drawn than were recorded: run scripts/goldens/candidates.ts, then make.py --only best-of';
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

gpuTest('best_of chooses the candidates that are best by the scores of transformers', async () => {
  const { cases } = readJson<{ cases: readonly ScoredCase[] }>('best-of.json');
  expect(cases.map(({ candidates, logprobs, ...drawn }) => drawn)).toEqual([...CANDIDATE_CASES]);
  const bestPlaces: number[] = [];
  const lengths = new Set<number>();
  for (const model of new Set(cases.map((each) => each.model))) {
    await withCompletions(model, async (complete) => {
      for (const each of cases.filter((one) => one.model === model)) {
        const { numCandidates, candidates, logprobs } = each;
        const body = allCandidates(each);
        const drawn = await complete({ ...body, logprobs: 0 });
        const kept = await complete({ ...body, n: 2, best_of: numCandidates });
        const best = await complete({ ...body, n: 1, best_of: numCandidates });
        candidates.forEach((ofPrompt, prompt) => {
          const own = drawn.slice(prompt * numCandidates, (prompt + 1) * numCandidates);
          const ids = own.map((choice) => [...choice.token_ids]);
          expect({ RECORD_AGAIN, ids }).toEqual({ RECORD_AGAIN, ids: ofPrompt.map((tokens) => [...tokens]) });
          const scores = logprobs[prompt] ?? [];
          own.forEach((choice, k) => {
            expectClose(
              'modelLogits',
              choice.logprobs?.token_logprobs ?? [],
              scores[k] ?? [],
              `${model}, candidate ${k}`,
            );
            lengths.add(choice.token_ids.length);
          });
          const order = scores.map((_, k) => k).sort((a, b) => sum(scores[b] ?? []) - sum(scores[a] ?? []));
          const wanted = order.map((k) => [...(ofPrompt[k] ?? [])]);
          expect(kept.slice(2 * prompt, 2 * prompt + 2).map((choice) => [...choice.token_ids])).toEqual(
            wanted.slice(0, 2),
          );
          expect([...(best[prompt]?.token_ids ?? [])]).toEqual(wanted[0] ?? []);
          bestPlaces.push(order[0] ?? -1);
        });
      }
    });
  }
  // Else the test could not tell a choice from no choice.
  expect(new Set(bestPlaces).size).toBeGreaterThan(2);
  expect(lengths.size).toBeGreaterThan(4);
});
