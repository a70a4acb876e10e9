/**
 * A request of the Responses API -> the chat request that it means -> a plan of engine requests.
 *
 * Everything that a chat checks is checked there; here stand the fields that only this API has. Next: `run.ts`.
 */
import { badRequest } from '../errors.ts';
import { withFieldNames } from '../field-names.ts';
import type { GenerationPlan } from '../generation.ts';
import type { ChatCompletionBody } from '../schema/chat-completions.ts';
import type { ResponsesBody } from '../schema/responses.ts';
import { chatToEngine, type ServingContext } from '../to-engine.ts';
import { type MessageItem, toMessage } from './items.ts';
import { withinContext } from './truncate.ts';

const fieldNames = { messages: 'input', max_completion_tokens: 'max_output_tokens', max_tokens: 'max_output_tokens' };

/** `items` is the whole conversation, earlier turns first. Throws: ApiError. */
export async function responsesToEngine(
  body: ResponsesBody,
  items: readonly MessageItem[],
  context: ServingContext,
): Promise<GenerationPlan> {
  assertCombination(body);
  assertText(body.text ?? {});
  return withFieldNames(fieldNames, async () => {
    const chat = chatBody(body, items);
    return chatToEngine(body.truncation === 'auto' ? await withinContext(chat, context) : chat, context);
  });
}

/** Log probabilities are given when the answer shall include them, or when a number of alternatives is named. */
export function wantsLogprobs(body: ResponsesBody): boolean {
  return (body.include ?? []).includes('message.output_text.logprobs') || (body.top_logprobs ?? 0) > 0;
}

function chatBody(body: ResponsesBody, items: readonly MessageItem[]): ChatCompletionBody {
  const hasLogprobs = wantsLogprobs(body);
  const effort = reasoningEffort(body.reasoning ?? {});
  // The fields that both APIs have, the samplers' among them, pass as they are.
  const { stream_options: _, top_logprobs: topLogprobs, ...shared } = body;
  return {
    ...shared,
    messages: [
      ...(typeof body.instructions === 'string' ? [{ role: 'system', content: body.instructions }] : []),
      ...items.map(toMessage),
    ],
    max_completion_tokens: body.max_output_tokens,
    max_tokens: null,
    n: 1,
    logprobs: hasLogprobs,
    top_logprobs: hasLogprobs ? topLogprobs : null,
    reasoning_effort: effort,
  };
}

function assertCombination(body: ResponsesBody): void {
  if (body.background !== true) return;
  if (body.store === false) throw badRequest('`background` needs `store`: the answer is fetched later.', 'background');
  if (body.stream === true) throw badRequest('`background` together with `stream` is not supported yet.', 'background');
}

/** `text` may ask for free text alone. */
function assertText(text: Readonly<Record<string, unknown>>): void {
  const format = (text.format ?? { type: 'text' }) as { readonly type?: unknown };
  if (format.type !== 'text') {
    throw badRequest('`text.format` must have the type text: other formats are not supported yet.', 'text.format');
  }
  if ((text.verbosity ?? 'medium') !== 'medium') {
    throw badRequest('`text.verbosity` is not supported yet with the given value.', 'text.verbosity');
  }
}

/** The effort is a variable of the chat template; what shapes a reasoning text has nothing to act on. */
function reasoningEffort(reasoning: Readonly<Record<string, unknown>>): string | null {
  const { effort, ...others } = reasoning;
  for (const [name, value] of Object.entries(others)) {
    if (value === null || value === undefined) continue;
    throw badRequest(`\`reasoning.${name}\` is not supported yet.`, `reasoning.${name}`);
  }
  if (effort === null || effort === undefined) return null;
  if (typeof effort !== 'string') throw badRequest('`reasoning.effort` must be a string.', 'reasoning.effort');
  return effort;
}
