/**
 * The wire form of a response and of its parts. Source: OpenAI's API description.
 *
 * Pure. Fields without a value are left out, but for those that the description requires. Next: `run.ts`, which fills a progress.
 */
import type { ScoredPosition, ScoredToken } from '../choice-decoder.ts';
import type { GenerationPlan } from '../generation.ts';
import type { ResponsesBody } from '../schema/responses.ts';
import type { ItemContent, MessageItem } from './items.ts';

export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';

/** What is known of a response before its first token. */
export interface ResponseHead {
  readonly id: string;
  /** Id of the one message that is its output. */
  readonly messageId: string;
  /** Units: seconds since 1970. */
  readonly createdAt: number;
  readonly model: string;
  readonly body: ResponsesBody;
  readonly plan: GenerationPlan;
  readonly wantsLogprobs: boolean;
}

/** What changes while it is made. */
export interface ResponseProgress {
  status: ResponseStatus;
  hasOutput: boolean;
  text: string;
  logprobs: ScoredPosition[];
  numTokens: number;
  error: { readonly code: string; readonly message: string } | null;
  completedAt: number | null;
}

export function isFinal(status: ResponseStatus): boolean {
  return status !== 'queued' && status !== 'in_progress';
}

/** The response as it stands. */
export function responseObject(head: ResponseHead, progress: ResponseProgress): Record<string, unknown> {
  const { body, plan } = head;
  const params = plan.choices[0]?.request.params;
  return {
    id: head.id,
    object: 'response',
    created_at: head.createdAt,
    ...(progress.completedAt === null ? {} : { completed_at: progress.completedAt }),
    status: progress.status,
    background: body.background ?? false,
    error: progress.error,
    incomplete_details: progress.status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    model: head.model,
    output: progress.hasOutput ? [outputMessage(head, progress)] : [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    store: body.store ?? true,
    temperature: params?.temperature ?? null,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_logprobs: body.top_logprobs ?? 0,
    top_p: params?.topP ?? null,
    truncation: body.truncation ?? 'disabled',
    ...(isFinal(progress.status) ? { usage: usage(plan.promptTokens, progress.numTokens) } : {}),
    ...(body.user ? { user: body.user } : {}),
    ...(body.safety_identifier ? { safety_identifier: body.safety_identifier } : {}),
    ...(body.prompt_cache_key ? { prompt_cache_key: body.prompt_cache_key } : {}),
    metadata: body.metadata ?? {},
  };
}

/** The message of the answer as it stands. */
export function outputMessage(head: ResponseHead, progress: ResponseProgress): MessageItem {
  return {
    id: head.messageId,
    type: 'message',
    role: 'assistant',
    status: !isFinal(progress.status) ? 'in_progress' : progress.status === 'completed' ? 'completed' : 'incomplete',
    content: [outputText(head, progress)],
  };
}

export function outputText(head: ResponseHead, progress: ResponseProgress): ItemContent {
  const logprobs = head.wantsLogprobs ? wireLogprobs(progress.logprobs) : [];
  return { type: 'output_text', text: progress.text, annotations: [], logprobs };
}

export function wireLogprobs(positions: readonly ScoredPosition[]): object[] {
  return positions.map((position) => ({ ...wireToken(position), top_logprobs: position.top.map(wireToken) }));
}

function wireToken(token: ScoredToken): object {
  return { token: token.text, logprob: token.logprob, bytes: token.bytes };
}

/** The engine does not say which tokens it found in its cache, so none are claimed. */
function usage(inputTokens: number, outputTokens: number): object {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: inputTokens + outputTokens,
  };
}
