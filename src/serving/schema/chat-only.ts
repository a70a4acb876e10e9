/**
 * Fields that shape the answer of a chat or completion and have no place in the answers of the Responses and Messages APIs.
 *
 * Those APIs take the sampling extras of the chat route; these they refuse, so that none of them is ignored once chats support it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { UnsupportedField } from './unsupported.ts';

/** A field that is refused unless its value is one of `neutral`. */
export const refuse = (field: string, ...neutral: readonly unknown[]): UnsupportedField => ({
  field,
  isNeutral: (value) => neutral.some((candidate) => isDeepStrictEqual(candidate, value)),
});

export const chatOnly: readonly UnsupportedField[] = [
  // One answer, and its length under the API's own name.
  refuse('n', 1),
  refuse('best_of', 1),
  refuse('use_beam_search', false),
  refuse('length_penalty', 1),
  refuse('early_stopping', false),
  refuse('max_completion_tokens'),
  refuse('echo', false),
  refuse('logprobs', false),
  refuse('prompt_logprobs'),
  refuse('logprob_token_ids'),
  refuse('return_tokens_as_token_ids', false),
  refuse('return_token_ids', false),
  refuse('return_prompt_text', false),
  refuse('return_token_offsets', false),
  refuse('stream_interval', 1),
  refuse('response_format', { type: 'text' }),
  refuse('chat_template'),
];
