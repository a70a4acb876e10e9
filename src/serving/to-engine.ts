/**
 * Wire requests -> a plan of engine requests. Every 4xx of a generation is thrown here, before the first byte of an answer.
 *
 * Knows both vocabularies, and no HTTP. Next: `generation.ts` (runs a plan), `from-engine.ts` (events -> answers).
 */
import { randomUUID } from 'node:crypto';
import type { EngineInfo } from '../engine/types.ts';
import type { ChoiceDecoderOptions } from './choice-decoder.ts';
import { badRequest, modelNotFound } from './errors.ts';
import type { ChoicePlan, GenerationPlan } from './generation.ts';
import { encodePrompt, type PromptInput, renderConversation, toPromptInputs } from './prompt.ts';
import { choiceSeed, type SharedParams, toSharedParams } from './sampling.ts';
import type { ChatCompletionBody } from './schema/chat-completions.ts';
import type { CompletionBody } from './schema/completions.ts';
import { maxSequencesPerRequest, type WireAnswerOptions, type WireSampling } from './schema/sampling.ts';
import type { ServedModel, ServingSettings } from './served-model.ts';

/** What translation needs to know of the running server. */
export interface ServingContext {
  readonly model: ServedModel;
  readonly settings: ServingSettings;
  readonly info: EngineInfo;
}

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
  const text = renderConversation(model, body);
  return plan(body, context, {
    prompts: [{ kind: 'text', text, field: 'messages' }],
    addSpecialTokens: body.add_special_tokens ?? false,
    requestedMaxTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
    maxTokensField: body.max_completion_tokens ? 'max_completion_tokens' : 'max_tokens',
    defaultMaxTokens: model.defaults.maxNewTokens,
    fallbackTemperature: chatTemperature,
    numLogprobs: body.logprobs === true ? topLogprobs : null,
  });
}

/** Throws: ApiError. */
export async function completionToEngine(body: CompletionBody, context: ServingContext): Promise<GenerationPlan> {
  const { settings } = context;
  assertModel(body.model, settings);
  assertMaxLogprobs(body.logprobs ?? 0, settings, 'logprobs');
  return plan(body, context, {
    prompts: toPromptInputs(body.prompt),
    addSpecialTokens: body.add_special_tokens ?? true,
    requestedMaxTokens: body.max_tokens ?? null,
    maxTokensField: 'max_tokens',
    defaultMaxTokens: completionMaxTokens,
    fallbackTemperature: completionTemperature,
    numLogprobs: body.logprobs ?? null,
  });
}

/** Throws: ApiError 404. */
export function assertModel(name: string | null | undefined, settings: ServingSettings): void {
  if (name === null || name === undefined || settings.servedModelNames.includes(name)) return;
  throw modelNotFound(name);
}

/** What the two endpoints do differently. */
interface Differences {
  readonly prompts: readonly PromptInput[];
  readonly addSpecialTokens: boolean;
  readonly requestedMaxTokens: number | null;
  readonly maxTokensField: string;
  /** Null = the rest of the context. */
  readonly defaultMaxTokens: number | null;
  readonly fallbackTemperature: number;
  readonly numLogprobs: number | null;
}

async function plan(
  body: WireSampling & WireAnswerOptions,
  context: ServingContext,
  differences: Differences,
): Promise<GenerationPlan> {
  const { model, info } = context;
  if (body.stream_options && body.stream !== true)
    throw badRequest('`stream_options` needs `stream` to be true.', 'stream_options');
  const numChoices = body.n ?? 1;
  if (differences.prompts.length * numChoices > maxSequencesPerRequest) {
    throw badRequest(`A request may have at most ${maxSequencesPerRequest} prompts times choices.`, 'prompt');
  }
  const shared = toSharedParams(body, {
    defaults: model.defaults,
    fallbackTemperature: differences.fallbackTemperature,
    vocabSize: info.vocabSize,
    tokenizer: model.tokenizer,
  });
  const requested = differences.requestedMaxTokens;
  if (requested !== null && shared.minTokens > requested) {
    throw badRequest(`\`min_tokens\` must be at most \`${differences.maxTokensField}\`.`, 'min_tokens');
  }
  const prompts = await Promise.all(
    differences.prompts.map((prompt) => encodePrompt(model, prompt, differences.addSpecialTokens, info)),
  );
  const choices: ChoicePlan[] = [];
  let promptTokens = 0;
  for (const promptTokenIds of prompts) {
    promptTokens += promptTokenIds.length;
    const room = info.maxModelLen - promptTokenIds.length;
    const maxTokens = Math.min(room, requested ?? differences.defaultMaxTokens ?? room);
    for (let choice = 0; choice < numChoices; choice++) {
      choices.push({
        index: choices.length,
        request: {
          id: randomUUID(),
          promptTokenIds,
          params: {
            ...shared,
            minTokens: Math.min(shared.minTokens, maxTokens),
            maxTokens,
            seed: choiceSeed(body.seed, choice),
            numLogprobs: differences.numLogprobs,
          },
          priority: 0,
        },
        decoding: decodingOptions(body, shared, model, promptTokenIds, differences.numLogprobs),
      });
    }
  }
  return { choices, promptTokens };
}

function decodingOptions(
  body: WireSampling,
  shared: SharedParams,
  model: ServedModel,
  promptTokenIds: readonly number[] | Uint32Array,
  numLogprobs: number | null,
): ChoiceDecoderOptions {
  const { specialIds } = model.tokenizer;
  const skipSpecialTokens = body.skip_special_tokens ?? true;
  const isVisible = (id: number): boolean => !(skipSpecialTokens && specialIds.has(id));
  return {
    tokens: model.tokens,
    skipSpecialTokens,
    atTextStart: !promptTokenIds.some(isVisible),
    stopStrings: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    includeStop: body.include_stop_str_in_output ?? false,
    minTokens: shared.minTokens,
    numLogprobs,
  };
}

function assertMaxLogprobs(wanted: number, settings: ServingSettings, field: string): void {
  if (wanted <= settings.maxLogprobs) return;
  throw badRequest(`\`${field}\` must be at most ${settings.maxLogprobs}.`, field);
}
