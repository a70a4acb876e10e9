/**
 * The body of `POST /v1/responses`, and its fields that this version refuses.
 *
 * Sampling fields beyond OpenAI's are the chat route's. Next: `serving/responses/to-chat.ts`, which turns a body into a chat request.
 */
import * as v from 'valibot';
import { chatOnly, refuse } from './chat-only.ts';
import { integer, jsonObject, objectOf, optional } from './fields.ts';
import { answerEntries, samplingEntries } from './sampling.ts';
import { type UnsupportedField, unsupportedInChat } from './unsupported.ts';
import type { WireSchema } from './wire.ts';

const maxMetadataPairs = 16;
const maxMetadataKeyLength = 64;
const maxMetadataValueLength = 512;

/** What a client may ask to be added to the answer. All but the log probabilities belong to tools, images and reasoning. */
const includable = [
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
  'reasoning.encrypted_content',
  'message.output_text.logprobs',
] as const;

const contentPart = objectOf(v.looseObject({ type: v.string() }));

/** Everything but a message is refused in `serving/responses/items.ts`, with the item's index. */
const inputItem = objectOf(
  v.looseObject({
    type: optional(v.string()),
    role: optional(v.string()),
    content: optional(v.union([v.string(), v.array(contentPart)])),
  }),
);

const metadata = v.pipe(
  v.record(
    v.pipe(
      v.string(),
      v.maxLength(maxMetadataKeyLength, `must have keys of at most ${maxMetadataKeyLength} characters`),
    ),
    v.pipe(v.string(), v.maxLength(maxMetadataValueLength, `must have at most ${maxMetadataValueLength} characters`)),
  ),
  v.check((pairs) => Object.keys(pairs).length <= maxMetadataPairs, `must have at most ${maxMetadataPairs} pairs`),
);

const schema = v.object({
  ...samplingEntries,
  ...answerEntries,
  input: v.union([v.string(), v.pipe(v.array(inputItem), v.minLength(1, 'must not be empty'))]),
  instructions: optional(v.string()),
  max_output_tokens: optional(integer(1)),
  /** No tool can be called, so any limit is kept. */
  max_tool_calls: optional(integer(0)),
  parallel_tool_calls: optional(v.boolean()),
  previous_response_id: optional(v.string()),
  store: optional(v.boolean()),
  background: optional(v.boolean()),
  metadata: optional(objectOf(metadata)),
  include: optional(v.array(v.picklist(includable))),
  top_logprobs: optional(integer(0)),
  /** Entries that mean something here are checked in `serving/responses/to-chat.ts`. */
  reasoning: optional(jsonObject),
  text: optional(jsonObject),
  truncation: optional(v.picklist(['auto', 'disabled'])),
  user: optional(v.string()),
  safety_identifier: optional(v.string()),
  /** A hint: equal beginnings of prompts are found without it. */
  prompt_cache_key: optional(v.string()),
  chat_template_kwargs: optional(jsonObject),
});

const unsupportedHere: readonly UnsupportedField[] = [
  ...chatOnly,
  refuse('tools', []),
  refuse('tool_choice', 'auto', 'none'),
  refuse('conversation'),
  refuse('context_management'),
  refuse('prompt'),
  refuse('moderation'),
  refuse('prompt_cache_options'),
  refuse('prompt_cache_retention', 'in_memory'),
  refuse('service_tier', 'auto', 'default'),
  // `max_output_tokens` is the name here.
  refuse('max_tokens'),
  refuse('stream_options', {}, { include_obfuscation: false }),
];

/** The chat route's refusals hold here too, but for the fields that this API has as well. */
const ownFields = new Set([...unsupportedHere.map((row) => row.field), 'store', 'include', 'text', 'reasoning']);

export type ResponsesBody = v.InferOutput<typeof schema>;
export type WireInputItem = v.InferOutput<typeof inputItem>;

export const responsesWire: WireSchema<ResponsesBody> = {
  schema,
  unsupported: [...unsupportedHere, ...unsupportedInChat.filter((row) => !ownFields.has(row.field))],
};
