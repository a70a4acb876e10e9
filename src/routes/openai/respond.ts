/**
 * Runs a plan and sends its answer, whole or streamed; ends it when the client leaves.
 *
 * The same for chat and text completions. Next: `serving/generation.ts`, `serving/from-engine.ts`, `event-stream.ts`.
 */
import { randomUUID } from 'node:crypto';
import {
  type AnswerFormat,
  type AnswerHead,
  type FoldOptions,
  foldChunks,
  foldWhole,
} from '../../serving/from-engine.ts';
import { Generation, type GenerationPlan } from '../../serving/generation.ts';
import type { WireAnswerOptions } from '../../serving/schema/sampling.ts';
import type { AppDeps } from '../deps.ts';
import { eventStream, sseFrames } from '../event-stream.ts';
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

const defaultKeepAliveMs = 10_000;
const maxQueuedChars = 1 << 20;
/** How long a dropped reader's socket stays open. Breaking the stream alone does not close it. */
const droppedTimeoutSeconds = 1;
const maxRequestIdLength = 256;
/** The client is gone: nobody reads this status. */
const clientClosedRequest = 499;

/** Throws: EngineError when the engine does not take the requests, or gives one up before a whole answer is made. */
export async function respond(
  deps: AppDeps,
  request: Request,
  plan: GenerationPlan,
  options: AnswerOptions,
): Promise<Response> {
  // Tokenising takes time: the client may have left meanwhile.
  if (request.signal.aborted) return new Response(null, { status: clientClosedRequest });
  const requestId = requestIdOf(request, options.body);
  const generation = new Generation(deps.engine, plan, deps.metrics.watch(plan.promptTokens));
  const abort = (): void => generation.abort();
  request.signal.addEventListener('abort', abort, { once: true });

  const { body } = options;
  const fold: FoldOptions = {
    head: answerHead(deps, `${options.idPrefix}-${requestId}`, options.role),
    format: options.format,
    promptTokens: plan.promptTokens,
    numChoices: plan.choices.length,
    wantsLogprobs: options.wantsLogprobs,
  };
  const headers = { 'x-request-id': requestId };
  if (body.stream !== true) {
    deps.setIdleTimeout?.(request, 0);
    return jsonResponse(await foldWhole(generation.updates(), fold), 200, headers);
  }
  const includeUsage = body.stream_options?.include_usage ?? false;
  const continuousUsage = includeUsage && (body.stream_options?.continuous_usage_stats ?? false);
  const chunks = foldChunks(generation.updates(), { ...fold, includeUsage, continuousUsage });
  const stream = eventStream(sseFrames(chunks, deps.reportError), {
    keepAliveMs: deps.keepAliveMs ?? defaultKeepAliveMs,
    maxQueuedChars,
    onCancel: abort,
    onStalled: () => deps.setIdleTimeout?.(request, droppedTimeoutSeconds),
  });
  return new Response(stream, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...headers },
  });
}

function answerHead(deps: AppDeps, id: string, role: string): AnswerHead {
  return {
    id,
    created: Math.floor(Date.now() / 1000),
    model: deps.settings.servedModelNames[0] ?? '',
    systemFingerprint: `wgslm-${deps.settings.version}`,
    role,
  };
}

/** The client's own id, so that logs on both sides can be joined, else a fresh one. */
function requestIdOf(request: Request, body: WireAnswerOptions): string {
  const given = request.headers.get('x-request-id') ?? body.request_id ?? '';
  const isUsable = /^[\x21-\x7e]+$/.test(given) && given.length <= maxRequestIdLength;
  return isUsable ? given : randomUUID();
}
