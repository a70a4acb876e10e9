/**
 * `truncation: auto`: drops the oldest turns of a conversation until the rest fits the context with room for an answer.
 *
 * Instructions stay, and so does the last message. Next: `to-chat.ts`.
 */
import { renderConversation } from '../prompt.ts';
import type { ChatCompletionBody } from '../schema/chat-completions.ts';
import type { ServingContext } from '../to-engine.ts';

/** What is kept free for an answer of unknown length, as a share of the context. */
const answerShare = 1 / 8;

/** The body with as many of its last messages as fit; with the last one alone it may still be too long. Throws: ChatTemplateError. */
export async function withinContext(body: ChatCompletionBody, context: ServingContext): Promise<ChatCompletionBody> {
  const { maxModelLen } = context.info;
  const room = Math.min(body.max_completion_tokens ?? Math.ceil(maxModelLen * answerShare), maxModelLen - 1);
  const isInstruction = (index: number): boolean => {
    const role = body.messages[index]?.role;
    return role === 'system' || role === 'developer';
  };
  const droppable = body.messages
    .map((_, index) => index)
    .filter((index) => !isInstruction(index))
    .slice(0, -1);
  const without = (numDropped: number): ChatCompletionBody => {
    // A conversation that begins with an answer is refused by many templates.
    let end = numDropped;
    while (end > 0 && body.messages[droppable[end] ?? -1]?.role === 'assistant') end += 1;
    const dropped = new Set(droppable.slice(0, end));
    return { ...body, messages: body.messages.filter((_, index) => !dropped.has(index)) };
  };
  const fits = async (numDropped: number): Promise<boolean> => {
    const text = renderConversation(context.model, without(numDropped), context.settings);
    const ids = await context.model.encoder.encode(text, { addSpecialTokens: body.add_special_tokens ?? false });
    return ids.length + room <= maxModelLen;
  };
  if (await fits(0)) return body;
  // The fewest dropped turns that fit, between one and all of them.
  let low = 1;
  let high = droppable.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await fits(middle)) high = middle;
    else low = middle + 1;
  }
  return without(high);
}
