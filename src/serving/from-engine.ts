/**
 * Updates of a generation -> answers: one fold for whole answers, one for streamed ones, over the same iterator.
 *
 * What chat and text completions do differently is an {@link AnswerFormat}: two small tables of functions. Pure apart from reading the
 * iterator. Next: `answer-parts.ts` (what formats are given), `chat-format.ts`, `completion-format.ts`; `routes/openai/respond.ts`
 * sends the results.
 */
import {
  type AnswerFormat,
  type AnswerHead,
  type ChoicePart,
  codePoints,
  type EchoedPosition,
  type PromptPart,
  type Usage,
} from './answer-parts.ts';
import type { ChoiceFinish, ChoiceUpdate, ScoredPosition, ScoredPromptToken } from './choice-decoder.ts';

/** What an answer says of the prompts. */
export interface PromptOptions {
  /** In order; each has as many choices as the others. */
  readonly prompts: readonly PromptPart[];
  /** How many of the most probable tokens `prompt_logprobs` shows; null = there is none. */
  readonly numPromptLogprobs: number | null;
  /** The same for the log probabilities of an echoed prompt. */
  readonly numEchoedLogprobs: number | null;
}

export interface FoldOptions {
  readonly head: AnswerHead;
  readonly format: AnswerFormat;
  readonly promptTokens: number;
  readonly numChoices: number;
  readonly wantsLogprobs: boolean;
  /** Absent: the answer says nothing of its prompts. */
  readonly prompt?: PromptOptions;
  /** Whether the ids of prompts and answers are shown. */
  readonly returnsTokenIds?: boolean;
  /** What the usage says besides the numbers. */
  usageDetails?(completionTokens: number): object;
}

export interface StreamFoldOptions extends FoldOptions {
  /** A last chunk with usage. */
  readonly includeUsage: boolean;
  /** The usage so far in every chunk. */
  readonly continuousUsage: boolean;
}

type Updates = AsyncIterable<readonly ChoiceUpdate[]>;

/** The whole answer. Throws: what the updates throw. */
export async function foldWhole(updates: Updates, options: FoldOptions): Promise<object> {
  const choices = startStates(options.numChoices);
  for await (const batch of updates) {
    for (const update of batch) {
      const state = choices[update.index];
      if (state === undefined) continue;
      state.text += update.text;
      take(state, update);
      state.finish = update.finish;
    }
  }
  const parts = choices.map((state, index) => {
    // Only the first choice of a prompt is asked to score it.
    const opening = openingPart(index, choices[index - (index % choicesPerPrompt(options))] ?? state, options);
    return {
      ...opening,
      text: opening.text + state.text,
      logprobs: options.wantsLogprobs ? [...(opening.logprobs ?? []), ...state.logprobs] : null,
      tokenIds: options.returnsTokenIds === true ? state.tokenIds : null,
      finish: state.finish,
    };
  });
  return options.format.whole(options.head, parts, usageOf(options, choices));
}

/** The chunks of a streamed answer, in batches that arrived together. Throws: what the updates throw. */
export async function* foldChunks(
  updates: Updates,
  options: StreamFoldOptions,
): AsyncGenerator<readonly object[], void, undefined> {
  const choices = startStates(options.numChoices);
  const { format, head } = options;
  for await (const batch of updates) {
    const chunks: Record<string, unknown>[] = [];
    for (const update of batch) {
      const state = choices[update.index];
      if (state === undefined) continue;
      take(state, update);
      const isStarted = update.numTokens > 0 || update.finish !== null;
      if (!state.isOpen && isStarted) {
        state.isOpen = true;
        const opening = openingPart(update.index, state, options);
        for (const position of opening.logprobs ?? []) state.textOffset += codePoints(position.text);
        chunks.push(...format.opening(head, opening));
      }
      if (update.text !== '') chunks.push(format.chunk(head, takePart(state, update, options, null)));
      if (update.finish !== null) {
        chunks.push(format.chunk(head, takePart(state, { ...update, text: '' }, options, update.finish)));
      }
    }
    if (chunks.length === 0) continue;
    if (options.continuousUsage) {
      const usage = usageOf(options, choices);
      for (const chunk of chunks) chunk.usage = usage;
    }
    yield chunks;
  }
  if (options.includeUsage) yield [format.usage(head, usageOf(options, choices))];
}

interface ChoiceState {
  text: string;
  /** Whole answers: all; streams: those not sent yet, because their text is held back. The same for `tokenIds`. */
  logprobs: ScoredPosition[];
  tokenIds: number[];
  promptLogprobs: ScoredPromptToken[];
  textOffset: number;
  numTokens: number;
  isOpen: boolean;
  finish: ChoiceFinish | null;
}

function startStates(numChoices: number): ChoiceState[] {
  return Array.from({ length: numChoices }, () => ({
    text: '',
    logprobs: [],
    tokenIds: [],
    promptLogprobs: [],
    textOffset: 0,
    numTokens: 0,
    isOpen: false,
    finish: null,
  }));
}

/** Mutates: everything of `state` but its text and finish. */
function take(state: ChoiceState, update: ChoiceUpdate): void {
  for (const position of update.logprobs) state.logprobs.push(position);
  for (const tokenId of update.tokenIds) state.tokenIds.push(tokenId);
  for (const token of update.promptLogprobs) state.promptLogprobs.push(token);
  state.numTokens = update.numTokens;
}

function choicesPerPrompt({ numChoices, prompt }: FoldOptions): number {
  return prompt === undefined ? numChoices : numChoices / prompt.prompts.length;
}

/** What stands before the first token. */
function openingPart(index: number, scored: ChoiceState, options: FoldOptions): ChoicePart {
  const { prompt } = options;
  const own = prompt?.prompts[Math.floor(index / choicesPerPrompt(options))];
  const empty = { index, text: '', textOffset: 0, finish: null, logprobs: null, tokenIds: null };
  if (prompt === undefined || own === undefined) return { ...empty, promptTokenIds: null, promptLogprobs: null };
  const { numPromptLogprobs, numEchoedLogprobs } = prompt;
  return {
    ...empty,
    text: own.echo,
    logprobs: numEchoedLogprobs === null ? null : echoedPositions(own, scored.promptLogprobs, numEchoedLogprobs),
    promptTokenIds: options.returnsTokenIds === true ? [...own.tokenIds] : null,
    promptLogprobs: numPromptLogprobs === null ? null : [null, ...cutTops(scored.promptLogprobs, numPromptLogprobs)],
  };
}

/** The prompt's tokens as if they had been generated; nothing precedes the first. */
function echoedPositions(
  { firstToken }: PromptPart,
  scored: readonly ScoredPromptToken[],
  numTop: number,
): EchoedPosition[] {
  return [{ ...firstToken, logprob: null, top: [] }, ...cutTops(scored, numTop)];
}

function cutTops(tokens: readonly ScoredPromptToken[], numTop: number): ScoredPromptToken[] {
  return tokens.map((token) => ({ ...token, top: token.top.slice(0, numTop) }));
}

/** Mutates: takes what waits out of `state`. */
function takePart(
  state: ChoiceState,
  update: ChoiceUpdate,
  options: FoldOptions,
  finish: ChoiceFinish | null,
): ChoicePart {
  const { logprobs, tokenIds, textOffset } = state;
  for (const position of logprobs) state.textOffset += codePoints(position.text);
  state.logprobs = [];
  state.tokenIds = [];
  return {
    index: update.index,
    text: update.text,
    logprobs: options.wantsLogprobs ? logprobs : null,
    tokenIds: options.returnsTokenIds === true ? tokenIds : null,
    promptTokenIds: null,
    promptLogprobs: null,
    textOffset,
    finish,
  };
}

function usageOf(options: FoldOptions, choices: readonly ChoiceState[]): Usage {
  const { promptTokens } = options;
  const completionTokens = choices.reduce((sum, choice) => sum + choice.numTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...options.usageDetails?.(completionTokens),
  };
}
