/**
 * Updates of a generation -> answers: one fold for whole answers, one for streamed ones, over the same iterator.
 *
 * What chat and text completions do differently is an {@link AnswerFormat}: two small tables of functions. Pure apart from reading the
 * iterator. Next: `chat-format.ts`, `completion-format.ts`; `routes/openai/respond.ts` sends the results.
 */
import type { ChoiceFinish, ChoiceUpdate, ScoredPosition } from './choice-decoder.ts';

/** What every part of an answer carries. */
export interface AnswerHead {
  readonly id: string;
  /** Units: seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly systemFingerprint: string;
  /** Role of the answering message in chats. */
  readonly role: string;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** A choice, or the next part of one. */
export interface ChoicePart {
  readonly index: number;
  readonly text: string;
  /** Null when none were asked for. */
  readonly logprobs: readonly ScoredPosition[] | null;
  /** Characters of token text before `logprobs`. Units: code points. */
  readonly textOffset: number;
  readonly finish: ChoiceFinish | null;
}

/** The wire form of one endpoint's answers. All functions are pure. */
export interface AnswerFormat {
  whole(head: AnswerHead, choices: readonly ChoicePart[], usage: Usage): object;
  /** Opens a choice of a stream; null when the format has no opening. */
  opening(head: AnswerHead, index: number): Record<string, unknown> | null;
  chunk(head: AnswerHead, part: ChoicePart): Record<string, unknown>;
  /** The chunk that carries only usage. */
  usage(head: AnswerHead, usage: Usage): object;
}

export interface FoldOptions {
  readonly head: AnswerHead;
  readonly format: AnswerFormat;
  readonly promptTokens: number;
  readonly numChoices: number;
  readonly wantsLogprobs: boolean;
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
      state.logprobs.push(...update.logprobs);
      state.numTokens = update.numTokens;
      state.finish = update.finish;
    }
  }
  const parts = choices.map((state, index) => ({
    index,
    text: state.text,
    logprobs: options.wantsLogprobs ? state.logprobs : null,
    textOffset: 0,
    finish: state.finish,
  }));
  return options.format.whole(options.head, parts, usageOf(options.promptTokens, choices));
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
      if (!state.isOpen) {
        state.isOpen = true;
        const opening = format.opening(head, update.index);
        if (opening !== null) chunks.push(opening);
      }
      state.numTokens = update.numTokens;
      state.logprobs.push(...update.logprobs);
      if (update.text !== '') chunks.push(format.chunk(head, takePart(state, update, options.wantsLogprobs, null)));
      if (update.finish !== null) {
        chunks.push(format.chunk(head, takePart(state, { ...update, text: '' }, options.wantsLogprobs, update.finish)));
      }
    }
    if (chunks.length === 0) continue;
    if (options.continuousUsage) {
      const usage = usageOf(options.promptTokens, choices);
      for (const chunk of chunks) chunk.usage = usage;
    }
    yield chunks;
  }
  if (options.includeUsage) yield [format.usage(head, usageOf(options.promptTokens, choices))];
}

interface ChoiceState {
  text: string;
  /** Whole answers: all; streams: those not sent yet, because their text is held back. */
  logprobs: ScoredPosition[];
  textOffset: number;
  numTokens: number;
  isOpen: boolean;
  finish: ChoiceFinish | null;
}

function startStates(numChoices: number): ChoiceState[] {
  return Array.from({ length: numChoices }, () => ({
    text: '',
    logprobs: [],
    textOffset: 0,
    numTokens: 0,
    isOpen: false,
    finish: null,
  }));
}

/** Mutates: takes the waiting log probabilities out of `state`. */
function takePart(
  state: ChoiceState,
  update: ChoiceUpdate,
  wantsLogprobs: boolean,
  finish: ChoiceFinish | null,
): ChoicePart {
  const { logprobs, textOffset } = state;
  for (const position of logprobs) state.textOffset += codePoints(position.text);
  state.logprobs = [];
  return { index: update.index, text: update.text, logprobs: wantsLogprobs ? logprobs : null, textOffset, finish };
}

function usageOf(promptTokens: number, choices: readonly ChoiceState[]): Usage {
  const completionTokens = choices.reduce((sum, choice) => sum + choice.numTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

/** Length as OpenAI counts it. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
