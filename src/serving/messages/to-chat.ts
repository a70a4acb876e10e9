/**
 * A request of the Messages API -> the chat request that it means -> a plan of engine requests.
 *
 * Everything that a chat checks is checked there; here stands what only this API has: system text apart, turns that follow each other
 * with the same role, an answer begun by the client. Next: `message-events.ts`.
 */
import { badRequest } from '../errors.ts';
import { withFieldNames } from '../field-names.ts';
import type { GenerationPlan } from '../generation.ts';
import { renderConversation } from '../prompt.ts';
import type { WireConversation } from '../schema/messages.ts';
import type { CountTokensBody, MessagesBody, MessagesConversation } from '../schema/messages-api.ts';
import { assertModel, chatToEngine, type ServingContext } from '../to-engine.ts';

const fieldNames = { max_completion_tokens: 'max_tokens', stop: 'stop_sequences' };

type Block = Exclude<NonNullable<MessagesConversation['system']>, string>[number];

/** Throws: ApiError. */
export function messagesToEngine(body: MessagesBody, context: ServingContext): Promise<GenerationPlan> {
  return withFieldNames(fieldNames, () => {
    const { system: _, metadata: _metadata, stop_sequences: stop, stream_options: _options, ...shared } = body;
    return chatToEngine(
      { ...shared, ...toConversation(body), max_completion_tokens: body.max_tokens, max_tokens: null, n: 1, stop },
      context,
    );
  });
}

/** How many tokens the conversation's prompt has. Throws: ApiError. */
export function countTokens(
  body: CountTokensBody,
  context: Pick<ServingContext, 'model' | 'settings'>,
): Promise<number> {
  assertModel(body.model, context.settings);
  return withFieldNames(fieldNames, async () => {
    const text = renderConversation(context.model, toConversation(body), context.settings);
    return (await context.model.encoder.encode(text, { addSpecialTokens: false })).length;
  });
}

/** The conversation as a chat template is given it. Throws: ApiError 400 with the path of what is not text. */
export function toConversation(body: MessagesConversation): WireConversation {
  const system = body.system ? textOf(body.system, 'system') : '';
  const turns: { role: string; content: string }[] = [];
  for (const [index, turn] of body.messages.entries()) {
    const text = textOf(turn.content, `messages[${index}].content`);
    const last = turns.at(-1);
    // Templates want roles to alternate; this API lets them repeat and means one turn.
    if (last?.role === turn.role) last.content += `\n${text}`;
    else turns.push({ role: turn.role, content: text });
  }
  const isContinuation = turns.at(-1)?.role === 'assistant';
  if (isContinuation) assertContinuable(turns.at(-1)?.content ?? '');
  return {
    messages: [...(system === '' ? [] : [{ role: 'system', content: system }]), ...turns],
    add_generation_prompt: !isContinuation,
    continue_final_message: isContinuation,
    chat_template_kwargs: body.chat_template_kwargs,
  };
}

/** An answer begun by the client is gone on with, which needs text that a tokenizer does not split otherwise. */
function assertContinuable(text: string): void {
  if (text !== '' && text === text.trimEnd()) return;
  const field = 'messages';
  throw badRequest(`The last of \`${field}\`, of the assistant, must have text and not end with white space.`, field);
}

function textOf(content: string | readonly Block[], field: string): string {
  if (typeof content === 'string') return content;
  return content
    .map((block, index) => {
      if (block.type === 'text' && typeof block.text === 'string') return block.text;
      const path = `${field}[${index}]`;
      throw badRequest(`\`${path}\` must be a block of type text with its text: others are not supported yet.`, path);
    })
    .join('\n');
}
