/**
 * `POST /v1/chat/completions`.
 */
import { chatFormat } from '../../serving/chat-format.ts';
import { chatCompletionWire } from '../../serving/schema/chat-completions.ts';
import { answerRole, chatToEngine } from '../../serving/to-engine.ts';
import { servingContext } from '../accepting.ts';
import type { AppDeps } from '../deps.ts';
import { readBody } from '../read-body.ts';
import { respond } from './respond.ts';

/** Throws: ApiError, EngineError. */
export async function chatCompletions(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, chatCompletionWire, deps.settings.maxRequestBodyBytes);
  const plan = await chatToEngine(body, servingContext(deps));
  return respond(deps, request, plan, {
    format: chatFormat,
    idPrefix: 'chatcmpl',
    role: answerRole(body, deps.settings),
    wantsLogprobs: body.logprobs === true,
    body,
  });
}
