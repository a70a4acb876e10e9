/**
 * How many answers a request wants and how they are found: drawn one by one, the best of some, or by beam search.
 *
 * Checks what goes together. Next: `engine-plan.ts`; `best-of.ts` and `beam-search.ts` do the work.
 */
import type { EngineInfo } from '../engine/types.ts';
import { type BeamOptions, maxBeams } from './beam-search.ts';
import { badRequest } from './errors.ts';
import type { SharedParams } from './sampling.ts';
import type { WireAnswerOptions, WireSampling } from './schema/sampling.ts';

export interface CandidateCounts {
  /** Answers per prompt. */
  readonly numChoices: number;
  /** Sequences per prompt that are generated, at least as many. */
  readonly numCandidates: number;
  /** Beams of the search; null = there is none. */
  readonly numBeams: number | null;
}

type Wire = WireSampling & WireAnswerOptions;

/** Throws: ApiError 400. */
export function candidateCounts(wire: Wire): CandidateCounts {
  const numChoices = wire.n ?? 1;
  const bestOf = wire.best_of ?? numChoices;
  if (bestOf < numChoices) throw badRequest('`best_of` must be at least `n`.', 'best_of');
  if (wire.use_beam_search === true) {
    assertSearchable(wire);
    const field = wire.best_of === null || wire.best_of === undefined ? 'n' : 'best_of';
    if (bestOf > maxBeams) throw badRequest(`\`${field}\` must be at most ${maxBeams} with beam search.`, field);
    return { numChoices, numCandidates: numChoices, numBeams: bestOf };
  }
  if ((wire.length_penalty ?? 1) !== 1) throw needsSearch('length_penalty');
  if ((wire.early_stopping ?? false) !== false) throw needsSearch('early_stopping');
  if (wire.stream === true && bestOf > numChoices) {
    throw badRequest('`best_of` must be `n` in a stream: the best is known at the end.', 'best_of');
  }
  return { numChoices, numCandidates: bestOf, numBeams: null };
}

/** Fields that change logits or cut texts: a search follows the model's own probabilities, token by token. */
const noSearchFields = [
  ...(['presence_penalty', 'frequency_penalty'] as const).map((field) => ({ field, neutral: 0 })),
  { field: 'repetition_penalty' as const, neutral: 1 },
  ...(['logit_bias', 'bad_words', 'allowed_token_ids', 'stop'] as const).map((field) => ({ field, neutral: null })),
];

function assertSearchable(wire: Wire): void {
  if (wire.stream === true)
    throw badRequest('`stream` must be false with beam search: it ends before it answers.', 'stream');
  for (const { field, neutral } of noSearchFields) {
    const value = wire[field] ?? neutral;
    const isNeutral = value === neutral || (typeof value === 'object' && Object.keys(value ?? {}).length === 0);
    if (!isNeutral) throw badRequest(`\`${field}\` cannot be combined with beam search.`, field);
  }
}

function needsSearch(field: string): Error {
  return badRequest(`\`${field}\` needs \`use_beam_search\` to be true.`, field);
}

/** What a search for the answers of one prompt looks for. */
export function beamOptions(
  wire: Wire,
  numBeams: number,
  shared: SharedParams,
  maxTokens: number,
  info: Pick<EngineInfo, 'eosTokenIds'>,
): BeamOptions {
  const eosTokenIds = shared.ignoreEos ? [] : info.eosTokenIds;
  return {
    numBeams,
    lengthPenalty: wire.length_penalty ?? 1,
    earlyStopping: wire.early_stopping ?? false,
    endTokenIds: new Set([...eosTokenIds, ...shared.stopTokenIds]),
    stopTokenIds: shared.stopTokenIds.filter((tokenId) => !eosTokenIds.includes(tokenId)),
    minTokens: Math.min(shared.minTokens, maxTokens),
    maxTokens,
  };
}
