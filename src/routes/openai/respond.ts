/**
 * Runs a plan and sends its answer, whole or streamed; ends it when the client leaves.
 *
 * The same for chat and text completions. Next: `../generation.ts`, `serving/from-engine.ts`, `event-stream.ts`.
 */
import type { AnswerFormat, AnswerHead } from '../../serving/answer-parts.ts';
import { type FoldOptions, foldChunks, foldWhole } from '../../serving/from-engine.ts';
import type { GenerationPlan } from '../../serving/generation.ts';
import type { WireAnswerOptions } from '../../serving/schema/sampling.ts';
import { RequestTimer } from '../../serving/timings.ts';
import type { AppDeps, AppSettings } from '../deps.ts';
import { sseFrames } from '../event-stream.ts';
import { clientClosed, requestIdOf, startGeneration, streamedResponse } from '../generation.ts';
import { jsonResponse } from '../responses.ts';

/** What one endpoint adds to a plan. */
export interface AnswerOptions {
  readonly format: AnswerFormat;
  /** `chatcmpl` or `cmpl`. */
  readonly idPrefix: string;
  readonly role: string;
  readonly wantsLogprobs: boolean;
  readonly body: WireAnswerOptions;
}

/** Throws: EngineError when the engine does not take the requests, or gives one up before a whole answer is made. */
export async function respond(
  deps: AppDeps,
  request: Request,
  plan: GenerationPlan,
  options: AnswerOptions,
): Promise<Response> {
  // Tokenising takes time: the client may have left meanwhile.
  if (request.signal.aborted) return clientClosed();
  const requestId = requestIdOf(request, options.body.request_id);
  const id = `${options.idPrefix}-${requestId}`;
  const details = usageDetails(deps.settings, plan);
  const by = { request, id, isStreamed: options.body.stream === true };
  const generation = startGeneration(deps, plan, by, details?.timer);
  const abort = (): void => generation.abort();
  request.signal.addEventListener('abort', abort, { once: true });

  const { body } = options;
  const fold: FoldOptions = {
    head: answerHead(deps, id, options),
    format: options.format,
    promptTokens: plan.promptTokens,
    numChoices: plan.numChoices,
    wantsLogprobs: options.wantsLogprobs,
    prompt: plan.prompt,
    returnsTokenIds: body.return_token_ids ?? false,
    ...(details === null ? {} : { usageDetails: details.show }),
  };
  const headers = { 'x-request-id': requestId };
  if (body.stream !== true) {
    deps.setIdleTimeout?.(request, 0);
    return jsonResponse(await foldWhole(generation.updates(), fold), 200, headers);
  }
  const isForced = deps.settings.enableForceIncludeUsage ?? false;
  const includeUsage = isForced || (body.stream_options?.include_usage ?? false);
  const continuousUsage = isForced || (includeUsage && (body.stream_options?.continuous_usage_stats ?? false));
  const chunks = foldChunks(generation.updates(), { ...fold, includeUsage, continuousUsage });
  return streamedResponse(deps, request, sseFrames(chunks, deps.reportError), headers, abort);
}

/** What the server was asked to add to every usage; null = nothing. */
function usageDetails(
  settings: AppSettings,
  plan: GenerationPlan,
): { readonly timer: RequestTimer; readonly show: () => object } | null {
  const { enablePromptTokensDetails, enablePerRequestMetrics } = settings;
  if (enablePromptTokensDetails !== true && enablePerRequestMetrics !== true) return null;
  const timer = new RequestTimer(plan, () => performance.now());
  const candidatesPerPrompt = plan.choices.length / plan.prompt.prompts.length;
  const show = (): object => ({
    ...(enablePromptTokensDetails === true
      ? { prompt_tokens_details: { cached_tokens: timer.cachedTokens(candidatesPerPrompt) } }
      : {}),
    ...(enablePerRequestMetrics === true ? { timings: timer.timings() } : {}),
  });
  return { timer, show };
}

function answerHead(deps: AppDeps, id: string, { role, body }: AnswerOptions): AnswerHead {
  return {
    id,
    created: Math.floor(Date.now() / 1000),
    model: deps.settings.servedModelNames[0] ?? '',
    systemFingerprint: `wgslm-${deps.settings.version}`,
    role,
    tokensAsIds: body.return_tokens_as_token_ids ?? deps.settings.returnTokensAsTokenIds ?? false,
  };
}
