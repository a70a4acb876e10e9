/**
 * `POST /v1/completions`: text or token ids, one prompt or a batch.
 */
import { completionFormat } from '../../serving/completion-format.ts';
import { completionWire } from '../../serving/schema/completions.ts';
import { completionToEngine } from '../../serving/to-engine.ts';
import { servingContext } from '../accepting.ts';
import type { AppDeps } from '../deps.ts';
import { readBody } from '../read-body.ts';
import { respond } from './respond.ts';

/** Throws: ApiError, EngineError. */
export async function completions(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, completionWire, deps.settings.maxRequestBodyBytes);
  const plan = await completionToEngine(body, servingContext(deps));
  return respond(deps, request, plan, {
    format: completionFormat,
    idPrefix: 'cmpl',
    role: deps.settings.responseRole,
    wantsLogprobs: typeof body.logprobs === 'number',
    body,
  });
}
