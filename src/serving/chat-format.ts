/**
 * The wire form of chat completions, whole and streamed. Source: OpenAI's API description, with vLLM's `stop_reason`.
 */
import type { ScoredPosition, ScoredToken } from './choice-decoder.ts';
import type { AnswerFormat, AnswerHead, ChoicePart } from './from-engine.ts';

export const chatFormat: AnswerFormat = {
  whole: (head, choices, usage) => ({
    ...envelope(head, 'chat.completion'),
    choices: choices.map((choice) => ({
      index: choice.index,
      message: { role: head.role, content: choice.text, refusal: null },
      logprobs: chatLogprobs(choice.logprobs),
      finish_reason: choice.finish?.reason ?? null,
      stop_reason: choice.finish?.stopReason ?? null,
    })),
    usage,
  }),

  opening: (head, index) => ({
    ...envelope(head, 'chat.completion.chunk'),
    choices: [{ index, delta: { role: head.role, content: '' }, finish_reason: null }],
  }),

  chunk: (head, part) => ({ ...envelope(head, 'chat.completion.chunk'), choices: [chunkChoice(part)] }),

  usage: (head, usage) => ({ ...envelope(head, 'chat.completion.chunk'), choices: [], usage }),
};

function chunkChoice(part: ChoicePart): object {
  const logprobs = part.logprobs !== null && part.logprobs.length > 0 ? { logprobs: chatLogprobs(part.logprobs) } : {};
  const { index, finish } = part;
  if (finish === null) return { index, delta: { content: part.text }, ...logprobs, finish_reason: null };
  return { index, delta: {}, ...logprobs, finish_reason: finish.reason, stop_reason: finish.stopReason };
}

function envelope(head: AnswerHead, object: string): Record<string, unknown> {
  return {
    id: head.id,
    object,
    created: head.created,
    model: head.model,
    system_fingerprint: head.systemFingerprint,
  };
}

function chatLogprobs(positions: readonly ScoredPosition[] | null): object | null {
  if (positions === null) return null;
  const content = positions.map((position) => ({ ...entry(position), top_logprobs: position.top.map(entry) }));
  return { content, refusal: null };
}

function entry(token: ScoredToken): { token: string; logprob: number; bytes: readonly number[] } {
  return { token: token.text, logprob: token.logprob, bytes: token.bytes };
}
