/**
 * The bodies of Anthropic's `POST /v1/messages` and `POST /v1/messages/count_tokens`, and their fields that this version refuses.
 *
 * Next: `serving/messages/to-chat.ts`, which turns a body into a chat request.
 */
import * as v from 'valibot';
import { chatOnly, refuse } from './chat-only.ts';
import { integer, jsonObject, objectOf, optional, phrase } from './fields.ts';
import { answerEntries, samplingEntries } from './sampling.ts';
import { type UnsupportedField, unsupportedInChat } from './unsupported.ts';
import type { WireSchema } from './wire.ts';

const maxStopSequences = 64;

const contentBlock = objectOf(v.looseObject({ type: v.string() }));

const turn = objectOf(
  v.object({
    role: v.picklist(['user', 'assistant']),
    content: v.union([v.string(), v.array(contentBlock)]),
  }),
);

const conversation = {
  model: optional(v.string()),
  system: optional(v.union([v.string(), v.array(contentBlock)])),
  messages: v.pipe(v.array(turn), v.minLength(1, 'must not be empty')),
  chat_template_kwargs: optional(jsonObject),
};

const messagesSchema = v.object({
  ...samplingEntries,
  ...answerEntries,
  ...conversation,
  max_tokens: integer(1),
  stop_sequences: optional(
    v.pipe(v.array(phrase), v.maxLength(maxStopSequences, `must have at most ${maxStopSequences} entries`)),
  ),
  metadata: optional(objectOf(v.looseObject({ user_id: optional(v.string()) }))),
});

const countTokensSchema = v.object(conversation);

export type MessagesBody = v.InferOutput<typeof messagesSchema>;
export type CountTokensBody = v.InferOutput<typeof countTokensSchema>;
/** What both bodies say about the conversation. */
export type MessagesConversation = CountTokensBody;

/** They decide what the prompt is, so that counting refuses them as well. */
const promptFields: readonly UnsupportedField[] = [
  refuse('tools', []),
  refuse('tool_choice', { type: 'none' }, { type: 'auto' }),
  refuse('thinking', { type: 'disabled' }),
  refuse('mcp_servers', []),
  refuse('context_management'),
  refuse('output_config', {}),
  refuse('output_format'),
];

const messagesFields: readonly UnsupportedField[] = [
  ...chatOnly,
  ...promptFields,
  refuse('container'),
  refuse('service_tier', 'auto', 'standard_only'),
  // `stop_sequences` is the name here.
  refuse('stop'),
  refuse('stream_options', {}),
];

const ownFields = new Set(messagesFields.map((row) => row.field));

export const messagesWire: WireSchema<MessagesBody> = {
  schema: messagesSchema,
  unsupported: [...messagesFields, ...unsupportedInChat.filter((row) => !ownFields.has(row.field))],
};

export const countTokensWire: WireSchema<CountTokensBody> = { schema: countTokensSchema, unsupported: promptFields };
