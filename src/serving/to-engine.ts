/**
 * Wire requests -> a plan of engine requests. Every 4xx of a generation is thrown here, before the first byte of an answer.
 *
 * Knows both vocabularies, and no HTTP. Next: `engine-plan.ts` (the rest of the way), `generation.ts` (runs a plan), `from-engine.ts`.
 */
import type { PromptPart } from './answer-parts.ts';
import { assertMaxLogprobs, planGeneration } from './engine-plan.ts';
import { badRequest, modelNotFound } from './errors.ts';
import type { GenerationPlan } from './generation.ts';
import { contentText } from './message-content.ts';
import { type PromptInput, renderConversation, toPromptInputs } from './prompt.ts';
import type { ChatCompletionBody } from './schema/chat-completions.ts';
import type { CompletionBody } from './schema/completions.ts';
import type { ServedModel, ServingContext, ServingSettings } from './served-model.ts';

export type { ServingContext } from './served-model.ts';

const chatTemperature = 0.7;
const completionTemperature = 1;
const completionMaxTokens = 16;

/** Throws: ApiError, ChatTemplateError. */
export async function chatToEngine(body: ChatCompletionBody, context: ServingContext): Promise<GenerationPlan> {
  const { settings, model } = context;
  assertModel(body.model, settings);
  const topLogprobs = body.top_logprobs ?? 0;
  if (topLogprobs > 0 && body.logprobs !== true)
    throw badRequest('`top_logprobs` needs `logprobs` to be true.', 'top_logprobs');
  assertMaxLogprobs(topLogprobs, settings, 'top_logprobs');
  const text = renderConversation(model, body, settings);
  const echo = body.echo === true ? lastWords(body, settings) : '';
  return planGeneration(body, context, {
    prompts: [{ kind: 'text', text, field: 'messages' }],
    addSpecialTokens: body.add_special_tokens ?? false,
    requestedMaxTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
    maxTokensField: body.max_completion_tokens ? 'max_completion_tokens' : 'max_tokens',
    defaultMaxTokens: model.defaults.maxNewTokens,
    fallbackTemperature: chatTemperature,
    numLogprobs: body.logprobs === true ? topLogprobs : null,
    numEchoedLogprobs: null,
    echo: () => echo,
  });
}

/** Whose message a chat's answer is: one that goes on with the last message has that message's role. */
export function answerRole(
  body: Pick<ChatCompletionBody, 'messages' | 'continue_final_message' | 'add_generation_prompt'>,
  settings: ServingSettings,
): string {
  const isContinuation = body.continue_final_message === true || body.add_generation_prompt === false;
  return isContinuation ? (body.messages.at(-1)?.role ?? settings.responseRole) : settings.responseRole;
}

/** The last message, if the answer has the same role: that is what a chat's echo repeats. */
function lastWords(body: ChatCompletionBody, settings: ServingSettings): string {
  const last = body.messages.at(-1);
  if (last === undefined || last.role !== answerRole(body, settings)) return '';
  return contentText(last.content, `messages[${body.messages.length - 1}].content`);
}

/** Throws: ApiError. */
export async function completionToEngine(body: CompletionBody, context: ServingContext): Promise<GenerationPlan> {
  const { settings, model } = context;
  assertModel(body.model, settings);
  assertMaxLogprobs(body.logprobs ?? 0, settings, 'logprobs');
  const isEchoed = body.echo === true;
  if (body.max_tokens === 0 && !isEchoed) {
    throw badRequest('`max_tokens` must be at least 1, or 0 with `echo`.', 'max_tokens');
  }
  const suffix = body.suffix ? { suffix: body.suffix } : {};
  if (body.suffix && isEchoed) throw badRequest('`echo` cannot be combined with `suffix`.', 'echo');
  return planGeneration(body, context, {
    prompts: toPromptInputs(body.prompt).map((prompt) => ({ ...prompt, ...suffix })),
    addSpecialTokens: body.add_special_tokens ?? true,
    requestedMaxTokens: body.max_tokens ?? null,
    maxTokensField: 'max_tokens',
    defaultMaxTokens: completionMaxTokens,
    fallbackTemperature: completionTemperature,
    numLogprobs: body.logprobs ?? null,
    numEchoedLogprobs: isEchoed ? (body.logprobs ?? null) : null,
    echo: (input, ids) => (isEchoed ? promptText(model, input, ids, body.truncate_prompt_tokens != null) : ''),
  });
}

/** A prompt as it was given; what was given as ids, or cut, is decoded. */
function promptText(model: ServedModel, input: PromptInput, ids: PromptPart['tokenIds'], mayBeCut: boolean): string {
  if (input.kind === 'text' && !mayBeCut) return input.text;
  return model.tokenizer.decode(ids, { skipSpecialTokens: false });
}

/** Throws: ApiError 404. */
export function assertModel(name: string | null | undefined, settings: ServingSettings): void {
  if (name === null || name === undefined || settings.servedModelNames.includes(name)) return;
  throw modelNotFound(name);
}
