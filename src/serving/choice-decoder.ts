/**
 * One choice's token events -> text, stop strings, log probabilities and a finish.
 *
 * Pure: holds the state of one stream and touches nothing else. Next: `generation.ts`, which feeds it.
 */
import type { FinishReason, PromptLogprobs, TokenEvent, TokenLogprobs } from '../engine/types.ts';
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
  /** False: no spaces between special tokens that are shown. */
  readonly spacesBetweenSpecialTokens: boolean;
  /** What log probabilities of the prompt belong to; empty where none come. */
  readonly promptTokenIds: ArrayLike<number>;
  /** Only the prompt matters: the sampled token, which no engine can do without, is dropped. */
  readonly isScoreOnly: boolean;
}

/** One token as log probabilities show it. */
export interface ScoredToken {
  readonly tokenId: number;
  readonly text: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

export interface ScoredPosition extends ScoredToken {
  readonly top: readonly ScoredToken[];
}

/** A token of the prompt. */
export interface ScoredPromptToken extends ScoredPosition {
  /** 1 = the most probable one. */
  readonly rank: number;
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
  readonly tokenIds: readonly number[];
  /** The next tokens of the prompt, from its second one on. All come before or with the first sampled token. */
  readonly promptLogprobs: readonly ScoredPromptToken[];
  /** All tokens so far. */
  readonly numTokens: number;
  readonly finish: ChoiceFinish | null;
}

const nothing: readonly never[] = [];

/** JSON has no infinity; this is what vLLM sends for a probability of zero. */
const lowestLogprob = -9999;

/** The decoder of one choice. */
export class ChoiceDecoder {
  private readonly detokenizer: Detokenizer;
  private readonly matcher: StopMatcher;
  private numTokens = 0;
  private numPromptScored = 0;

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
    const tokenIds: number[] = [];
    let promptLogprobs: readonly ScoredPromptToken[] = nothing;
    for (const event of events) {
      if (event.promptLogprobs !== undefined) {
        promptLogprobs = [...promptLogprobs, ...event.promptLogprobs.map((token) => this.scorePrompt(token))];
      }
      if (this.options.isScoreOnly && event.tokenId >= 0) {
        finish = { reason: 'length', stopReason: null };
        break;
      }
      if (event.tokenId >= 0) {
        this.numTokens += 1;
        tokenIds.push(event.tokenId);
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
    return { index: this.index, text, logprobs, tokenIds, promptLogprobs, numTokens: this.numTokens, finish };
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

  private score(tokenId: number, { logprob, top }: TokenLogprobs): ScoredPosition {
    const shown = top.slice(0, this.options.numLogprobs ?? 0);
    return { ...this.scored(tokenId, logprob), top: shown.map((entry) => this.scored(entry.tokenId, entry.logprob)) };
  }

  /** Takes the prompt's tokens in order. */
  private scorePrompt({ logprob, rank, top }: PromptLogprobs): ScoredPromptToken {
    const tokenId = this.options.promptTokenIds[++this.numPromptScored] ?? -1;
    return {
      ...this.scored(tokenId, logprob),
      top: top.map((entry) => this.scored(entry.tokenId, entry.logprob)),
      rank,
    };
  }

  private scored(tokenId: number, logprob: number): ScoredToken {
    const { tokens } = this.options;
    return {
      tokenId,
      text: tokens.displayText(tokenId),
      bytes: [...tokens.bytes(tokenId)],
      logprob: Math.max(logprob, lowestLogprob),
    };
  }
}
