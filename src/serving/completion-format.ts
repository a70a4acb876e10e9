/**
 * The wire form of text completions, whole and streamed. Source: OpenAI's API description, with vLLM's `stop_reason`.
 */
import type { ScoredPosition } from './choice-decoder.ts';
import { type AnswerFormat, type AnswerHead, type ChoicePart, codePoints } from './from-engine.ts';

export const completionFormat: AnswerFormat = {
  whole: (head, choices, usage) => ({ ...envelope(head), choices: choices.map(wireChoice), usage }),
  opening: () => null,
  chunk: (head, part) => ({ ...envelope(head), choices: [wireChoice(part)] }),
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

function wireChoice(part: ChoicePart): object {
  return {
    index: part.index,
    text: part.text,
    logprobs: part.logprobs === null ? null : completionLogprobs(part.logprobs, part.textOffset),
    finish_reason: part.finish?.reason ?? null,
    ...(part.finish === null ? {} : { stop_reason: part.finish.stopReason }),
  };
}

function completionLogprobs(positions: readonly ScoredPosition[], textOffset: number): object {
  const offsets: number[] = [];
  let offset = textOffset;
  for (const position of positions) {
    offsets.push(offset);
    offset += codePoints(position.text);
  }
  return {
    text_offset: offsets,
    token_logprobs: positions.map((position) => position.logprob),
    tokens: positions.map((position) => position.text),
    top_logprobs: positions.map(topByText),
  };
}

/** Two tokens may look the same (parts of characters do): the more probable one keeps the name. The sampled token is always there. */
function topByText(position: ScoredPosition): Record<string, number> {
  const entries = [...position.top, position];
  return Object.fromEntries(entries.reverse().map((token) => [token.text, token.logprob]));
}
