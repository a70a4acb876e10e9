/**
 * The wire form of a conversation. Roles are open: the chat template decides which ones it knows.
 *
 * Next: `serving/prompt.ts`, which flattens contents and refuses what is not text.
 */
import * as v from 'valibot';
import { jsonObject, objectOf, optional } from './fields.ts';

const contentPart = objectOf(v.looseObject({ type: v.string() }));

const calledFunction = objectOf(v.object({ name: v.string(), arguments: optional(v.union([v.string(), jsonObject])) }));

const toolCall = objectOf(v.object({ id: optional(v.string()), type: optional(v.string()), function: calledFunction }));

export const message = objectOf(
  v.object({
    role: v.pipe(v.string(), v.minLength(1, 'must not be empty')),
    content: optional(v.union([v.string(), v.array(contentPart)])),
    name: optional(v.string()),
    reasoning: optional(v.string()),
    reasoning_content: optional(v.string()),
    tool_calls: optional(v.array(toolCall)),
    tool_call_id: optional(v.string()),
  }),
);

/** What is rendered, wherever a conversation is accepted. */
export const conversationEntries = {
  messages: v.pipe(v.array(message), v.minLength(1, 'must not be empty')),
  add_generation_prompt: optional(v.boolean()),
  continue_final_message: optional(v.boolean()),
  chat_template_kwargs: optional(jsonObject),
  /** Only where the server trusts its clients. */
  chat_template: optional(v.string()),
  documents: optional(v.array(jsonObject)),
  reasoning_effort: optional(v.string()),
};

const conversationSchema = v.object(conversationEntries);

export type WireMessage = v.InferOutput<typeof message>;
export type WireConversation = v.InferOutput<typeof conversationSchema>;
