/**
 * What the folds hand to a wire format, and what a format has to do with it.
 *
 * Owns only shapes and one count. Next: `from-engine.ts` (who fills them), `chat-format.ts` and `completion-format.ts` (who write them).
 */
import type { ChoiceFinish, ScoredPosition, ScoredPromptToken, ScoredToken } from './choice-decoder.ts';

/** What every part of an answer carries. */
export interface AnswerHead {
  readonly id: string;
  /** Units: seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly systemFingerprint: string;
  /** Role of the answering message in chats. */
  readonly role: string;
  /** Whether log probabilities name tokens as `token_id:N`. */
  readonly tokensAsIds?: boolean;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly [detail: string]: unknown;
}

/** A prompt as answers show it. */
export interface PromptPart {
  readonly tokenIds: ArrayLike<number> & Iterable<number>;
  /** What stands before each of its answers; empty = nothing. */
  readonly echo: string;
  readonly firstToken: Omit<ScoredToken, 'logprob'>;
}

/** A position of an answer; null where an echoed prompt begins. */
export type EchoedPosition =
  | ScoredPosition
  | (Omit<ScoredPosition, 'logprob'> & { readonly logprob: null; readonly top: readonly [] });

/** A choice, or the next part of one. */
export interface ChoicePart {
  readonly index: number;
  readonly text: string;
  /** Null when none were asked for. */
  readonly logprobs: readonly EchoedPosition[] | null;
  /** Characters of token text before `logprobs`. Units: code points. */
  readonly textOffset: number;
  /** Null when they are not shown; the same for what follows. */
  readonly tokenIds: readonly number[] | null;
  readonly promptTokenIds: readonly number[] | null;
  /** Null for the first token, which nothing precedes. */
  readonly promptLogprobs: readonly (ScoredPromptToken | null)[] | null;
  readonly finish: ChoiceFinish | null;
}

/** The wire form of one endpoint's answers. All functions are pure. */
export interface AnswerFormat {
  whole(head: AnswerHead, choices: readonly ChoicePart[], usage: Usage): object;
  /** Opens a choice of a stream, with what is shown of its prompt; may be empty. */
  opening(head: AnswerHead, part: ChoicePart): Record<string, unknown>[];
  chunk(head: AnswerHead, part: ChoicePart): Record<string, unknown>;
  /** The chunk that carries only usage. */
  usage(head: AnswerHead, usage: Usage): object;
}

/** How log probabilities name a token. */
export function tokenName(head: AnswerHead, token: Pick<ScoredToken, 'tokenId' | 'text'>): string {
  return head.tokensAsIds === true ? `token_id:${token.tokenId}` : token.text;
}

/** The wire form of `prompt_logprobs`. Source of the shape: vLLM; the token itself is always there. */
export function wirePromptLogprobs(tokens: readonly (ScoredPromptToken | null)[]): (object | null)[] {
  return tokens.map((token) => {
    if (token === null) return null;
    const entries = token.top.map((entry, i) => [entry.tokenId, wireEntry(entry, i + 1)] as const);
    return Object.fromEntries([...entries, [token.tokenId, wireEntry(token, token.rank)]]);
  });
}

function wireEntry(token: ScoredToken, rank: number): object {
  return { logprob: token.logprob, rank, decoded_token: token.text };
}

/** Length as OpenAI counts it. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
