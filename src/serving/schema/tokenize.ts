/**
 * The bodies of `POST /tokenize` (a text or a conversation) and `POST /detokenize`.
 */
import * as v from 'valibot';
import { optional, tokenIds } from './fields.ts';
import { conversationEntries } from './messages.ts';
import { unsupportedInTokenize } from './unsupported.ts';
import type { WireSchema } from './wire.ts';

const tokenizeSchema = v.object({
  model: optional(v.string()),
  /** One of the two is given; a conversation wins. */
  prompt: optional(v.string()),
  ...conversationEntries,
  messages: optional(conversationEntries.messages),
  add_special_tokens: optional(v.boolean()),
  return_token_strs: optional(v.boolean()),
});

const detokenizeSchema = v.object({ model: optional(v.string()), tokens: tokenIds });

export type TokenizeBody = v.InferOutput<typeof tokenizeSchema>;
export type DetokenizeBody = v.InferOutput<typeof detokenizeSchema>;

export const tokenizeWire: WireSchema<TokenizeBody> = { schema: tokenizeSchema, unsupported: unsupportedInTokenize };
export const detokenizeWire: WireSchema<DetokenizeBody> = { schema: detokenizeSchema, unsupported: [] };
