/**
 * The body of `POST /v1/chat/completions`.
 */
import * as v from 'valibot';
import { integer, optional } from './fields.ts';
import { conversationEntries } from './messages.ts';
import { answerEntries, samplingEntries } from './sampling.ts';
import { unsupportedInChat } from './unsupported.ts';
import type { WireSchema } from './wire.ts';

const schema = v.object({
  ...samplingEntries,
  ...answerEntries,
  ...conversationEntries,
  /** Wins over `max_tokens`. */
  max_completion_tokens: optional(integer(1)),
  logprobs: optional(v.boolean()),
  top_logprobs: optional(integer(0)),
});

export type ChatCompletionBody = v.InferOutput<typeof schema>;

export const chatCompletionWire: WireSchema<ChatCompletionBody> = { schema, unsupported: unsupportedInChat };
