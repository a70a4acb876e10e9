/**
 * One choice's token events -> text, stop strings, log probabilities and a finish.
 *
 * Pure: holds the state of one stream and touches nothing else. Next: `generation.ts`, which feeds it.
 */
import type { FinishReason, TokenEvent, TokenLogprobs } from '../engine/types.ts';
import { createDetokenizer, type Detokenizer } from '../text/detokenizer.ts';
import { StopMatcher } from '../text/stop-strings.ts';
import type { TokenTable } from '../text/token-table.ts';

export interface ChoiceDecoderOptions {
  readonly tokens: TokenTable;
  readonly skipSpecialTokens: boolean;
  /** Nothing visible comes before the first token. */
  readonly atTextStart: boolean;
  readonly stopStrings: readonly string[];
  /** Whether what ended the text, string or token, is shown. */
  readonly includeStop: boolean;
  /** Stop strings are looked for only in the text of later tokens. */
  readonly minTokens: number;
  readonly numLogprobs: number | null;
}

/** One token as log probabilities show it. */
export interface ScoredToken {
  readonly text: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

export interface ScoredPosition extends ScoredToken {
  readonly top: readonly ScoredToken[];
}

export interface ChoiceFinish {
  readonly reason: FinishReason;
  /** The stop string or stop token id that matched; null for an end-of-sequence token and everything else. */
  readonly stopReason: string | number | null;
}

/** What some events added to a choice. */
export interface ChoiceUpdate {
  readonly index: number;
  readonly text: string;
  readonly logprobs: readonly ScoredPosition[];
  /** All tokens so far. */
  readonly numTokens: number;
  readonly finish: ChoiceFinish | null;
}

/** JSON has no infinity; this is what vLLM sends for a probability of zero. */
const lowestLogprob = -9999;

/** The decoder of one choice. */
export class ChoiceDecoder {
  private readonly detokenizer: Detokenizer;
  private readonly matcher: StopMatcher;
  private numTokens = 0;

  constructor(
    private readonly index: number,
    private readonly options: ChoiceDecoderOptions,
  ) {
    this.detokenizer = createDetokenizer(options.tokens, options);
    this.matcher = new StopMatcher(options.stopStrings, options.includeStop);
  }

  /** Takes the next events. An update with a finish is the last one; events after a stop string are dropped. */
  push(events: readonly TokenEvent[]): ChoiceUpdate {
    let text = '';
    let finish: ChoiceFinish | null = null;
    const logprobs: ScoredPosition[] = [];
    for (const event of events) {
      if (event.tokenId >= 0) {
        this.numTokens += 1;
        if (event.logprobs !== null) logprobs.push(this.score(event.tokenId, event.logprobs));
        const found = this.match(this.shownText(event));
        text += found.text;
        if (found.stop !== null) {
          finish = { reason: 'stop', stopReason: found.stop };
          break;
        }
      }
      if (event.finishReason !== null) {
        const found = this.match(this.detokenizer.flush());
        text += found.text + this.matcher.flush();
        finish =
          found.stop === null
            ? { reason: event.finishReason, stopReason: event.stopTokenId }
            : { reason: 'stop', stopReason: found.stop };
        break;
      }
    }
    return { index: this.index, text, logprobs, numTokens: this.numTokens, finish };
  }

  /** The update of a stream that ended without saying why. */
  endAborted(): ChoiceUpdate {
    return this.push([{ tokenId: -1, logprobs: null, finishReason: 'abort', stopTokenId: null }]);
  }

  /** A token that ended the sequence is control, not text, unless it was asked for. */
  private shownText(event: TokenEvent): string {
    if (event.finishReason === 'stop' && !this.options.includeStop) return '';
    return this.detokenizer.push(event.tokenId);
  }

  private match(piece: string): { readonly text: string; readonly stop: string | null } {
    return this.numTokens <= this.options.minTokens ? { text: piece, stop: null } : this.matcher.push(piece);
  }

  private score(tokenId: number, logprobs: TokenLogprobs): ScoredPosition {
    return {
      ...this.scored(tokenId, logprobs.logprob),
      top: logprobs.top
        .slice(0, this.options.numLogprobs ?? 0)
        .map((entry) => this.scored(entry.tokenId, entry.logprob)),
    };
  }

  private scored(tokenId: number, logprob: number): ScoredToken {
    const { tokens } = this.options;
    return {
      text: tokens.displayText(tokenId),
      bytes: [...tokens.bytes(tokenId)],
      logprob: Math.max(logprob, lowestLogprob),
    };
  }
}
