/**
 * Requests for the best of several candidates, for the script that records the candidates and the test that compares.
 */

/** How the candidates of one case are drawn. */
export interface CandidateCase {
  readonly model: string;
  readonly prompts: readonly (readonly number[])[];
  readonly seed: number;
  readonly numCandidates: number;
  readonly temperature: number;
  readonly maxTokens: number;
  /** Candidates that meet one of these are shorter, and more probable therefore. */
  readonly stopTokenIds: readonly number[];
}

/** A case with what was drawn, and how probable transformers finds it. */
export interface ScoredCase extends CandidateCase {
  /** By prompt and candidate. */
  readonly candidates: readonly (readonly (readonly number[])[])[];
  /** One for each token. */
  readonly logprobs: readonly (readonly (readonly number[])[])[];
}

const manyStops = Array.from({ length: 40 }, (_, i) => 3 * i);

export const CANDIDATE_CASES: readonly CandidateCase[] = ['tiny-llama', 'tiny-qwen3', 'tiny-mistral'].flatMap(
  (model) => [
    { model, prompts: [[40, 41, 42]], seed: 1, numCandidates: 6, temperature: 1, maxTokens: 12, stopTokenIds: [] },
    {
      model,
      prompts: [[7], [200, 100, 50, 25, 12, 6, 3]],
      seed: 2,
      numCandidates: 6,
      temperature: 1.3,
      maxTokens: 16,
      stopTokenIds: manyStops,
    },
  ],
);

/** The request whose choices are all candidates. */
export function allCandidates({ prompts, seed, numCandidates, temperature, maxTokens, stopTokenIds }: CandidateCase) {
  const stops = { ignore_eos: true, stop_token_ids: stopTokenIds };
  return { prompt: prompts, seed, n: numCandidates, temperature, max_tokens: maxTokens, ...stops };
}
