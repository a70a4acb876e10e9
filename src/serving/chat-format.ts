/**
 * The wire form of chat completions, whole and streamed. Source: OpenAI's API description, with vLLM's `stop_reason` and ids.
 */
import {
  type AnswerFormat,
  type AnswerHead,
  type ChoicePart,
  type EchoedPosition,
  tokenName,
  wirePromptLogprobs,
} from './answer-parts.ts';
import type { ScoredToken } from './choice-decoder.ts';

export const chatFormat: AnswerFormat = {
  whole: (head, choices, usage) => ({
    ...envelope(head, 'chat.completion'),
    choices: choices.map((choice) => ({
      index: choice.index,
      message: { role: head.role, content: choice.text, refusal: null },
      logprobs: choice.logprobs === null ? null : chatLogprobs(head, choice.logprobs),
      finish_reason: choice.finish?.reason ?? null,
      stop_reason: choice.finish?.stopReason ?? null,
      ...tokenIds(choice),
    })),
    usage,
    ...promptFields(choices[0]),
  }),

  opening: (head, part) => {
    const chunk = (delta: object) => ({
      ...envelope(head, 'chat.completion.chunk'),
      choices: [{ index: part.index, delta, finish_reason: null }],
    });
    const first = { ...chunk({ role: head.role, content: '' }), ...(part.index === 0 ? promptFields(part) : {}) };
    return part.text === '' ? [first] : [first, chunk({ content: part.text })];
  },

  chunk: (head, part) => ({ ...envelope(head, 'chat.completion.chunk'), choices: [chunkChoice(head, part)] }),

  usage: (head, usage) => ({ ...envelope(head, 'chat.completion.chunk'), choices: [], usage }),
};

function chunkChoice(head: AnswerHead, part: ChoicePart): object {
  const { index, finish, logprobs } = part;
  const details = {
    ...(logprobs !== null && logprobs.length > 0 ? { logprobs: chatLogprobs(head, logprobs) } : {}),
    ...tokenIds(part),
  };
  if (finish === null) return { index, delta: { content: part.text }, ...details, finish_reason: null };
  return { index, delta: {}, ...details, finish_reason: finish.reason, stop_reason: finish.stopReason };
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

function tokenIds({ tokenIds: ids }: ChoicePart): object {
  return ids === null ? {} : { token_ids: ids };
}

/** A chat has one prompt, so that these stand beside the choices. */
function promptFields(part: ChoicePart | undefined): object {
  if (part === undefined) return {};
  return {
    ...(part.promptLogprobs === null ? {} : { prompt_logprobs: wirePromptLogprobs(part.promptLogprobs) }),
    ...(part.promptTokenIds === null ? {} : { prompt_token_ids: part.promptTokenIds }),
  };
}

function chatLogprobs(head: AnswerHead, positions: readonly EchoedPosition[]): object {
  const entry = (token: Pick<ScoredToken, 'tokenId' | 'text' | 'bytes'> & { logprob: number | null }) => ({
    token: tokenName(head, token),
    logprob: token.logprob,
    bytes: token.bytes,
  });
  const content = positions.map((position) => ({ ...entry(position), top_logprobs: position.top.map(entry) }));
  return { content, refusal: null };
}
