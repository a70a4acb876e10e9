/** Requests whose answers are numbers of the model: over the HTTP front, the real engine in this process, and a fixture. */
import { expect } from 'bun:test';
import { InProcessEngine } from '../../src/engine/host/in-process.ts';
import { createLocalEngine } from '../../src/engine/local-engine.ts';
import { loadServedModel } from '../../src/serving/served-model.ts';
import { goldenLogits, readGolden } from '../helpers/goldens.ts';
import { gpuTest } from '../helpers/gpu.ts';
import { fixtureFolder, TEST_CONFIG } from '../helpers/model.ts';
import { testApp } from '../helpers/test-app.ts';
import { logprobsReference } from '../reference/logprobs.ts';

const MODEL = 'tiny-llama';

type Scores = (Record<string, { logprob: number; rank: number }> | null)[];
interface Answer {
  readonly choices: readonly {
    readonly text: string;
    readonly token_ids: readonly number[];
    readonly prompt_logprobs: Scores;
    readonly logprobs: {
      readonly tokens: readonly string[];
      readonly token_logprobs: readonly (number | null)[];
      readonly top_logprobs: readonly (Record<string, number> | null)[];
    };
  }[];
  readonly usage: { readonly completion_tokens: number };
}

async function withFixture(run: (ask: (body: object) => Promise<Answer>) => Promise<void>): Promise<void> {
  const folder = fixtureFolder(MODEL);
  const engine = new InProcessEngine(() =>
    createLocalEngine(
      { modelFolder: folder, config: { ...TEST_CONFIG, maxNumBatchedTokens: 16 }, extra: {} },
      () => {},
    ),
  );
  const model = await loadServedModel(folder, null);
  await engine.ready();
  const { post } = testApp(() => [], { engine, model });
  await run(async (body) => {
    const response = await post('/v1/completions', body);
    expect(response.status).toBe(200);
    return (await response.json()) as Answer;
  });
  await engine.close();
  await model.encoder.close();
}

const sum = (values: readonly (number | null)[]): number =>
  values.reduce<number>((all, value) => all + (value ?? 0), 0);

gpuTest('a prompt is scored as transformers scores it, in chunks and without generating', async () => {
  const golden = readGolden(MODEL);
  await withFixture(async (ask) => {
    const prompt = golden.prompts.map(({ ids }) => ids);
    const answer = await ask({ prompt, echo: true, logprobs: 3, prompt_logprobs: 1, max_tokens: 0 });
    expect(answer.usage.completion_tokens).toBe(0);
    golden.prompts.forEach((each, i) => {
      const logits = goldenLogits(golden, each);
      const { logprobs, prompt_logprobs: scores } = answer.choices[i] ?? {};
      expect(logprobs?.token_logprobs).toHaveLength(each.ids.length);
      expect([logprobs?.token_logprobs[0], logprobs?.top_logprobs[0], scores?.[0]]).toEqual([null, null, null]);
      for (let row = 0; row + 1 < each.ids.length; row++) {
        const want = logprobsReference(logits.subarray(row * golden.vocab, (row + 1) * golden.vocab)).logprobs;
        const token = each.ids[row + 1] ?? -1;
        expect(Math.abs((logprobs?.token_logprobs[row + 1] ?? 0) - (want[token] ?? 0))).toBeLessThan(2e-3);
        const entries = Object.entries(scores?.[row + 1] ?? {});
        expect(entries.length).toBeGreaterThanOrEqual(1);
        for (const [id, { logprob }] of entries) expect(Math.abs(logprob - (want[Number(id)] ?? 0))).toBeLessThan(2e-3);
      }
    });
  });
});

gpuTest('best_of keeps the candidate that scores best, which rescoring confirms', async () => {
  const golden = readGolden(MODEL);
  const prompt = [...(golden.prompts[1]?.ids ?? [])];
  await withFixture(async (ask) => {
    const common = { prompt, max_tokens: 8, temperature: 1.5, seed: 11, ignore_eos: true, return_token_ids: true };
    const all = await ask({ ...common, n: 5, logprobs: 0 });
    const best = await ask({ ...common, n: 2, best_of: 5 });
    const ranked = [...all.choices].sort((a, b) => sum(b.logprobs.token_logprobs) - sum(a.logprobs.token_logprobs));
    expect(best.choices.map((choice) => choice.token_ids)).toEqual(
      ranked.slice(0, 2).map((choice) => choice.token_ids),
    );
    for (const choice of all.choices) {
      const rescored = await ask({ prompt: [...prompt, ...choice.token_ids], echo: true, logprobs: 0, max_tokens: 0 });
      const scores = rescored.choices[0]?.logprobs.token_logprobs.slice(prompt.length) ?? [];
      expect(Math.abs(sum(scores) - sum(choice.logprobs.token_logprobs))).toBeLessThan(1e-2);
    }
  });
});

gpuTest('a beam search over text gives its hypotheses best first', async () => {
  await withFixture(async (ask) => {
    const body = { prompt: 'hello', use_beam_search: true, n: 3, max_tokens: 6, ignore_eos: true, logprobs: 2 };
    const { choices } = await ask(body);
    const scores = choices.map((choice) => sum(choice.logprobs.token_logprobs));
    expect(choices).toHaveLength(3);
    expect([...scores].sort((a, b) => b - a)).toEqual(scores);
    const greedy = await ask({ prompt: 'hello', temperature: 0, max_tokens: 6, ignore_eos: true, logprobs: 0 });
    expect(scores[0] ?? 0).toBeGreaterThanOrEqual(sum(greedy.choices[0]?.logprobs.token_logprobs ?? []) - 1e-3);
  });
});
