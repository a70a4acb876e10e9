/**
 * The wire form of text completions, whole and streamed. Source: OpenAI's API description, with vLLM's `stop_reason` and ids.
 */
import {
  type AnswerFormat,
  type AnswerHead,
  type ChoicePart,
  codePoints,
  type EchoedPosition,
  tokenName,
  wirePromptLogprobs,
} from './answer-parts.ts';

export const completionFormat: AnswerFormat = {
  whole: (head, choices, usage) => ({
    ...envelope(head),
    choices: choices.map((choice) => wireChoice(head, choice)),
    usage,
  }),
  opening: (head, part) => {
    const saysNothing = part.text === '' && part.logprobs === null && part.promptTokenIds === null;
    return saysNothing ? [] : [{ ...envelope(head), choices: [wireChoice(head, part)] }];
  },
  chunk: (head, part) => ({ ...envelope(head), choices: [wireChoice(head, part)] }),
  usage: (head, usage) => ({ ...envelope(head), choices: [], usage }),
};

function envelope(head: AnswerHead): Record<string, unknown> {
  return {
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: head.model,
    system_fingerprint: head.systemFingerprint,
  };
}

function wireChoice(head: AnswerHead, part: ChoicePart): object {
  return {
    index: part.index,
    text: part.text,
    logprobs: part.logprobs === null ? null : completionLogprobs(head, part.logprobs, part.textOffset),
    finish_reason: part.finish?.reason ?? null,
    ...(part.finish === null ? {} : { stop_reason: part.finish.stopReason }),
    ...(part.tokenIds === null ? {} : { token_ids: part.tokenIds }),
    ...(part.promptTokenIds === null ? {} : { prompt_token_ids: part.promptTokenIds }),
    ...(part.promptLogprobs === null ? {} : { prompt_logprobs: wirePromptLogprobs(part.promptLogprobs) }),
  };
}

function completionLogprobs(head: AnswerHead, positions: readonly EchoedPosition[], textOffset: number): object {
  const offsets: number[] = [];
  let offset = textOffset;
  for (const position of positions) {
    offsets.push(offset);
    offset += codePoints(position.text);
  }
  return {
    text_offset: offsets,
    token_logprobs: positions.map((position) => position.logprob),
    tokens: positions.map((position) => tokenName(head, position)),
    top_logprobs: positions.map((position) => topByName(head, position)),
  };
}

/** Two tokens may look the same (parts of characters do): the more probable one keeps the name. The token itself is always there. */
function topByName(head: AnswerHead, position: EchoedPosition): Record<string, number> | null {
  if (position.logprob === null) return null;
  const entries = [...position.top, { ...position, logprob: position.logprob }];
  return Object.fromEntries(entries.reverse().map((token) => [tokenName(head, token), token.logprob]));
}
