/**
 * The whole HTTP front over the real engine in this process, with a fixture's weights: for answers that are numbers of the model.
 */
import { InProcessEngine } from '../../src/engine/host/in-process.ts';
import { createLocalEngine } from '../../src/engine/local-engine.ts';
import { loadServedModel } from '../../src/serving/served-model.ts';
import { fixtureFolder, TEST_CONFIG } from './model.ts';
import { testApp } from './test-app.ts';

export interface CompletionChoice {
  readonly index: number;
  readonly text: string;
  readonly token_ids: readonly number[];
  readonly logprobs: { readonly token_logprobs: readonly number[] } | null;
}

/** Answers a completion's body. Throws: when the status is not 200. */
export type Complete = (body: object) => Promise<readonly CompletionChoice[]>;

/** Runs with one fixture and closes everything after. */
export async function withCompletions(name: string, run: (complete: Complete) => Promise<void>): Promise<void> {
  const folder = fixtureFolder(name);
  const engine = new InProcessEngine(() =>
    createLocalEngine({ modelFolder: folder, config: TEST_CONFIG, extra: {} }, () => {}),
  );
  const model = await loadServedModel(folder, null);
  await engine.ready();
  const { post } = testApp(() => [], { engine, model });
  try {
    await run(async (body) => {
      const response = await post('/v1/completions', { return_token_ids: true, ...body });
      const answer = (await response.json()) as { choices?: CompletionChoice[]; error?: { message: string } };
      if (response.status !== 200) throw new Error(`${response.status}: ${answer.error?.message}`);
      return answer.choices ?? [];
    });
  } finally {
    await engine.close();
    await model.encoder.close();
  }
}
