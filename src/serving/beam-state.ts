/**
 * Beam search over log probabilities: which beginnings go on, which have ended, when there is nothing left to gain.
 *
 * Pure: tokens and numbers in, hypotheses out. Source of the rules: transformers' generation (its beam search, with the three kinds of
 * early stopping), so that its results can be compared. Next: `beam-search.ts`, which asks the engine.
 */
import type { TokenEvent, TokenLogprobs } from '../engine/types.ts';

export interface BeamRules {
  /** Beams that go on, and hypotheses that are kept. */
  readonly numBeams: number;
  readonly lengthPenalty: number;
  /** true: end when enough hypotheses are complete; false: when none is likely to become better; 'never': when none can. */
  readonly earlyStopping: boolean | 'never';
  /** Tokens that complete a hypothesis; empty = only the length does. */
  readonly endTokenIds: ReadonlySet<number>;
  /** Nothing ends before it has so many tokens. */
  readonly minTokens: number;
  readonly maxTokens: number;
}

/** A beginning of an answer. */
export interface Beam {
  readonly tokens: readonly TokenEvent[];
  /** Sum of log probabilities. */
  readonly score: number;
}

/** A complete answer; `score` is divided by its length to the power of the length penalty. */
export type Hypothesis = Beam;

/** One more token after a running beam. */
interface Candidate {
  readonly beam: Beam;
  readonly event: TokenEvent;
  readonly score: number;
  readonly isEnd: boolean;
}

/** Candidates that are looked at in a step: enough that as many beams can go on when all others end. */
export function numCandidates(numBeams: number, numEndTokens: number): number {
  return Math.max(2, 1 + numEndTokens) * numBeams;
}

/** One search. */
export class BeamState {
  /** The beams to be expanded, best first. */
  running: readonly Beam[] = [{ tokens: [], score: 0 }];
  /** Best first. */
  finished: readonly Hypothesis[] = [];
  isDone = false;
  private length = 0;

  constructor(private readonly rules: BeamRules) {}

  /** Takes the most probable next tokens of each running beam, most probable first, at least {@link numCandidates} of them. */
  advance(expansions: readonly TokenLogprobs['top'][]): void {
    const { numBeams, maxTokens, lengthPenalty, endTokenIds } = this.rules;
    this.length += 1;
    const isLast = this.length >= maxTokens;
    const running: Beam[] = [];
    const finished = [...this.finished];
    const best = this.candidates(expansions).slice(0, numCandidates(numBeams, endTokenIds.size));
    best.forEach((candidate, rank) => {
      const { beam, event, score, isEnd } = candidate;
      if (!isEnd && !isLast) {
        if (running.length < numBeams) running.push({ tokens: [...beam.tokens, event], score });
      } else if (rank < numBeams) {
        const last: TokenEvent = { ...event, finishReason: isEnd ? 'stop' : 'length' };
        finished.push({ tokens: [...beam.tokens, last], score: score / this.length ** lengthPenalty });
      }
    });
    this.running = running;
    this.finished = finished.sort((a, b) => b.score - a.score).slice(0, numBeams);
    this.isDone = isLast || !this.canGain();
  }

  private candidates(expansions: readonly TokenLogprobs['top'][]): Candidate[] {
    const { endTokenIds, minTokens } = this.rules;
    const all: Candidate[] = [];
    this.running.forEach((beam, i) => {
      const top = expansions[i] ?? [];
      for (const { tokenId, logprob } of top) {
        const isEnd = endTokenIds.has(tokenId);
        if (isEnd && this.length <= minTokens) continue;
        const event = { tokenId, logprobs: { logprob, top }, finishReason: null, stopTokenId: null };
        all.push({ beam, event, score: beam.score + logprob, isEnd });
      }
    });
    return all.sort((a, b) => b.score - a.score);
  }

  /** Whether a running beam may still end above the worst hypothesis. */
  private canGain(): boolean {
    const { numBeams, lengthPenalty, earlyStopping, maxTokens } = this.rules;
    const [best] = this.running;
    if (best === undefined) return false;
    const worst = this.finished[numBeams - 1];
    if (worst === undefined) return true;
    if (earlyStopping === true) return false;
    const length = earlyStopping === 'never' && lengthPenalty > 0 ? maxTokens : this.length;
    return best.score / length ** lengthPenalty > worst.score;
  }
}
