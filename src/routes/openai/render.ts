/**
 * `POST /v1/chat/completions/render` and `POST /v1/completions/render`: the engine request that a body means, without running it.
 *
 * Routers that look for the replica with the longest cached prefix read `token_ids`. Source of the shape: vLLM's token-in request; a chat
 * gives one, completions a list with one for each prompt. `prompt` is our addition.
 */
import type { SamplingParams } from '../../engine/types.ts';
import type { ChoicePlan } from '../../serving/generation.ts';
import { renderConversation } from '../../serving/prompt.ts';
import { chatCompletionWire } from '../../serving/schema/chat-completions.ts';
import { completionWire } from '../../serving/schema/completions.ts';
import type { WireAnswerOptions } from '../../serving/schema/sampling.ts';
import { chatToEngine, completionToEngine } from '../../serving/to-engine.ts';
import { servingContext } from '../accepting.ts';
import type { AppDeps } from '../deps.ts';
import { requestIdOf } from '../generation.ts';
import { readBody } from '../read-body.ts';
import { jsonResponse } from '../responses.ts';

/** Throws: ApiError, ChatTemplateError. */
export async function renderChat(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, chatCompletionWire, deps.settings.maxRequestBodyBytes);
  const { choices, numChoices } = await chatToEngine(body, servingContext(deps));
  const [first] = choices;
  if (first === undefined) throw new Error('A chat has at least one choice.');
  const id = `chatcmpl-${requestIdOf(request, body.request_id)}`;
  const text = renderConversation(deps.model, body, deps.settings);
  return jsonResponse(rendered(deps, id, first, numChoices, body, text));
}

/** Throws: ApiError. */
export async function renderCompletion(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, completionWire, deps.settings.maxRequestBodyBytes);
  const { choices, prompt } = await completionToEngine(body, servingContext(deps));
  const id = `cmpl-${requestIdOf(request, body.request_id)}`;
  const numChoices = body.n ?? 1;
  // The sequences of one prompt follow each other and have the same prompt.
  const sequencesPerPrompt = choices.length / prompt.prompts.length;
  const firsts = choices.filter((_, index) => index % sequencesPerPrompt === 0);
  return jsonResponse(
    firsts.map((choice, index) => {
      const text = deps.model.tokenizer.decode(choice.request.promptTokenIds, { skipSpecialTokens: false });
      return rendered(deps, `${id}-${index}`, choice, numChoices, body, text);
    }),
  );
}

function rendered(
  deps: AppDeps,
  requestId: string,
  choice: ChoicePlan,
  numChoices: number,
  body: WireAnswerOptions,
  prompt: string,
): object {
  return {
    request_id: requestId,
    model: deps.settings.servedModelNames[0] ?? '',
    prompt,
    token_ids: [...choice.request.promptTokenIds],
    token_offsets: null,
    sampling_params: wireParams(choice, numChoices),
    stream: body.stream ?? false,
    stream_options: body.stream_options ?? null,
    priority: choice.request.priority,
  };
}

/** The parameters after all defaults, under the names of the wire. */
function wireParams({ request, decoding }: ChoicePlan, numChoices: number): object {
  const params: SamplingParams = request.params;
  return {
    n: numChoices,
    temperature: params.temperature,
    top_p: params.topP,
    top_k: params.topK,
    min_p: params.minP,
    presence_penalty: params.presencePenalty,
    frequency_penalty: params.frequencyPenalty,
    repetition_penalty: params.repetitionPenalty,
    seed: wireSeed(params.seed),
    stop: decoding.stopStrings,
    stop_token_ids: params.stopTokenIds,
    include_stop_str_in_output: decoding.includeStop,
    skip_special_tokens: decoding.skipSpecialTokens,
    ignore_eos: params.ignoreEos,
    max_tokens: params.maxTokens,
    min_tokens: params.minTokens,
    logprobs: params.numLogprobs,
    logit_bias: Object.fromEntries(params.logitBias),
    allowed_token_ids: params.allowedTokenIds,
  };
}

/** JSON numbers are exact up to 53 bits; larger seeds come as the nearest one. */
function wireSeed(seed: readonly [number, number] | null): number | null {
  return seed === null ? null : Number(BigInt.asIntN(64, (BigInt(seed[1]) << 32n) | BigInt(seed[0])));
}
