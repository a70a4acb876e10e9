import { expect } from 'bun:test';
import type { LoadedModel } from '../../src/engine/load-model.ts';
import type { SchedulerOptions } from '../../src/engine/scheduler-options.ts';
import type { GenerateRequest, PromptLogprobs } from '../../src/engine/types.ts';
import { type GoldenPrompt, goldenLogits, readGolden } from '../helpers/goldens.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, greedyParams, loadTestModel, newScheduler, request } from '../helpers/model.ts';
import { logprobsReference } from '../reference/logprobs.ts';

const MODEL = 'tiny-llama';

/** What came of each request's prompt, and the tokens after it. */
async function run(model: LoadedModel, requests: readonly GenerateRequest[], options: Partial<SchedulerOptions>) {
  const scheduler = newScheduler(model, options);
  const scores = new Map<string, PromptLogprobs[]>();
  const tokens = new Map<string, number[]>();
  let largestPiece = 0;
  for (const each of requests) scheduler.add(each);
  while (scheduler.hasWork) {
    const plan = scheduler.plan();
    const { sampled, scored } = await model.runner.run(plan);
    for (const { requestId, event } of scheduler.commit(plan, sampled, scored).events) {
      largestPiece = Math.max(largestPiece, event.promptLogprobs?.length ?? 0);
      scores.set(requestId, [...(scores.get(requestId) ?? []), ...(event.promptLogprobs ?? [])]);
      if (event.tokenId >= 0) tokens.set(requestId, [...(tokens.get(requestId) ?? []), event.tokenId]);
    }
    scheduler.assertInvariants();
  }
  return { scores, tokens, largestPiece, stats: scheduler.stats };
}

/** The log-softmax of transformers' logits. */
function expectGolden(got: readonly PromptLogprobs[], prompt: GoldenPrompt, logits: Float32Array, vocab: number) {
  expect(got).toHaveLength(prompt.ids.length - 1);
  got.forEach((score, row) => {
    const want = logprobsReference(logits.subarray(row * vocab, (row + 1) * vocab));
    const token = prompt.ids[row + 1] ?? -1;
    expect(Math.abs(score.logprob - (want.logprobs[token] ?? 0))).toBeLessThan(2e-3);
    for (const { tokenId, logprob } of score.top)
      expect(Math.abs(logprob - (want.logprobs[tokenId] ?? 0))).toBeLessThan(2e-3);
    const byRank = score.top[score.rank - 1];
    if (byRank !== undefined) expect(byRank.tokenId).toBe(token);
    else expect(score.rank).toBeGreaterThan(score.top.length);
    // Close logits may change places: the rank is right up to tokens that are as probable.
    const own = want.logprobs[token] ?? 0;
    const surely = want.logprobs.filter((logprob) => logprob > own + 4e-3).length;
    const perhaps = want.logprobs.filter((logprob) => logprob > own - 4e-3).length;
    expect(score.rank).toBeGreaterThan(surely);
    expect(score.rank).toBeLessThanOrEqual(perhaps);
  });
}

gpuTest('prompt logprobs equal the log-softmax of the golden logits, however the work is cut', async () => {
  const golden = readGolden(MODEL);
  // Four sequences at most: logits have room for four rows, so that every prompt goes through the head in pieces.
  const model = await loadTestModel(fixtureFolder(MODEL), { maxNumSeqs: 4 });
  const scored = golden.prompts.map((prompt, i) =>
    request(`scored-${i}`, prompt.ids, greedyParams(4, { numPromptLogprobs: i % 2 === 0 ? 5 : 0 })),
  );
  const plain = golden.prompts.map((prompt, i) => request(`plain-${i}`, prompt.ids, greedyParams(4)));
  for (const maxNumBatchedTokens of [7, 128]) {
    const options = { maxNumBatchedTokens, enablePrefixCaching: true };
    const { scores, tokens, largestPiece, stats } = await run(model, [...plain, ...scored], options);
    golden.prompts.forEach((prompt, i) => {
      expectGolden(scores.get(`scored-${i}`) ?? [], prompt, goldenLogits(golden, prompt), golden.vocab);
      for (const { top } of scores.get(`scored-${i}`) ?? []) expect(top).toHaveLength(i % 2 === 0 ? 5 : 0);
      expect(tokens.get(`scored-${i}`)).toEqual([...prompt.greedy.slice(0, 4)]);
      expect(tokens.get(`plain-${i}`)).toEqual([...prompt.greedy.slice(0, 4)]);
      expect(scores.get(`plain-${i}`) ?? []).toEqual([]);
    });
    expect(largestPiece).toBeLessThanOrEqual(maxNumBatchedTokens);
    expect(stats.numFreeBlocks).toBe(stats.numBlocks);
  }
  model.device.close();
});

gpuTest('a preempted sequence is scored once', async () => {
  const golden = readGolden(MODEL);
  const model = await loadTestModel(fixtureFolder(MODEL));
  const longest = golden.prompts.reduce((a, b) => (b.ids.length > a.ids.length ? b : a));
  const ids = longest.ids.slice(0, 33);
  const requests = ['a', 'b'].map((id) => request(id, ids, greedyParams(40, { numPromptLogprobs: 1 })));
  const options = { numBlocks: 8, maxModelLen: 100, enablePrefixCaching: false };
  const { scores, stats } = await run(model, requests, options);
  expect(stats.numPreemptions).toBeGreaterThan(0);
  const prompt = { ...longest, ids };
  for (const id of ['a', 'b']) expectGolden(scores.get(id) ?? [], prompt, goldenLogits(golden, longest), golden.vocab);
  model.device.close();
});
