/**
 * `POST /v1/chat/completions`.
 */
import { chatFormat } from '../../serving/chat-format.ts';
import { chatCompletionWire } from '../../serving/schema/chat-completions.ts';
import { chatToEngine } from '../../serving/to-engine.ts';
import { servingContext } from '../accepting.ts';
import type { AppDeps } from '../deps.ts';
import { readBody } from '../read-body.ts';
import { respond } from './respond.ts';

/** Throws: ApiError, EngineError. */
export async function chatCompletions(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, chatCompletionWire, deps.settings.maxRequestBodyBytes);
  const plan = await chatToEngine(body, servingContext(deps));
  // An answer that goes on with the last message has that message's role.
  const isContinuation = body.continue_final_message === true || body.add_generation_prompt === false;
  return respond(deps, request, plan, {
    format: chatFormat,
    idPrefix: 'chatcmpl',
    role: isContinuation ? (body.messages.at(-1)?.role ?? deps.settings.responseRole) : deps.settings.responseRole,
    wantsLogprobs: body.logprobs === true,
    body,
  });
}
