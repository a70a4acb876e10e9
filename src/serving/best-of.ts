/**
 * The n most probable of several candidates, by the sum of their tokens' log probabilities.
 *
 * Nothing can be shown before all candidates have ended. Knows neither engine nor wire. Next: `generation.ts`.
 */
import type { ChoiceUpdate } from './choice-decoder.ts';

export interface BestOf {
  readonly numCandidates: number;
  readonly numKept: number;
}

/** One candidate with all that came of it. */
interface Candidate {
  update: ChoiceUpdate;
  cumulativeLogprob: number;
}

/**
 * The updates of the best candidates of each prompt, one each, the best first and numbered anew. Candidates that were given up come last.
 * Throws: what the updates throw.
 */
export async function* keepBest(
  updates: AsyncIterable<readonly ChoiceUpdate[]>,
  { numCandidates, numKept }: BestOf,
): AsyncGenerator<readonly ChoiceUpdate[], void, undefined> {
  const candidates = new Map<number, Candidate>();
  for await (const batch of updates) {
    for (const update of batch) {
      const known = candidates.get(update.index);
      const added = update.logprobs.reduce((sum, { logprob }) => sum + logprob, 0);
      if (known === undefined) candidates.set(update.index, { update, cumulativeLogprob: added });
      else {
        known.update = merged(known.update, update);
        known.cumulativeLogprob += added;
      }
    }
  }
  const numPrompts = Math.ceil(candidates.size / numCandidates);
  const kept: ChoiceUpdate[] = [];
  for (let prompt = 0; prompt < numPrompts; prompt++) {
    const first = prompt * numCandidates;
    const own = [...candidates.values()].filter(({ update }) => Math.floor(update.index / numCandidates) === prompt);
    // Whichever candidate scored the prompt: the scores are the prompt's.
    const promptLogprobs = candidates.get(first)?.update.promptLogprobs ?? [];
    own.sort(
      (a, b) => rank(a) - rank(b) || b.cumulativeLogprob - a.cumulativeLogprob || a.update.index - b.update.index,
    );
    own.slice(0, numKept).forEach(({ update }, k) => {
      kept.push({ ...update, index: prompt * numKept + k, promptLogprobs });
    });
  }
  yield kept;
}

function rank({ update }: Candidate): number {
  return update.finish?.reason === 'abort' ? 1 : 0;
}

function merged(before: ChoiceUpdate, after: ChoiceUpdate): ChoiceUpdate {
  return {
    ...after,
    text: before.text + after.text,
    logprobs: [...before.logprobs, ...after.logprobs],
    tokenIds: [...before.tokenIds, ...after.tokenIds],
    promptLogprobs: [...before.promptLogprobs, ...after.promptLogprobs],
  };
}
