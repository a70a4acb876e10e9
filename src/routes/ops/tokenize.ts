/**
 * `POST /tokenize` and `POST /detokenize`: the prompt exactly as the model would see it, and back.
 */
import { badRequest } from '../../serving/errors.ts';
import { renderConversation } from '../../serving/prompt.ts';
import { inVocabulary } from '../../serving/sampling.ts';
import { detokenizeWire, type TokenizeBody, tokenizeWire } from '../../serving/schema/tokenize.ts';
import { assertModel } from '../../serving/to-engine.ts';
import type { AppDeps } from '../deps.ts';
import { readBody } from '../read-body.ts';
import { jsonResponse } from '../responses.ts';

/** Throws: ApiError, ChatTemplateError. */
export async function tokenize(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, tokenizeWire, deps.settings.maxRequestBodyBytes);
  assertModel(body.model, deps.settings);
  const { text, addSpecialTokens } = textToTokenize(deps, body);
  const tokens = [...(await deps.model.encoder.encode(text, { addSpecialTokens }))];
  const { tokenizer } = deps.model;
  return jsonResponse({
    count: tokens.length,
    max_model_len: deps.engine.state === 'ready' ? deps.engine.info.maxModelLen : null,
    tokens,
    token_strs: body.return_token_strs === true ? tokens.map((id) => tokenizer.idToToken(id) ?? '') : null,
  });
}

/** Throws: ApiError. */
export async function detokenize(deps: AppDeps, request: Request): Promise<Response> {
  const body = await readBody(request, detokenizeWire, deps.settings.maxRequestBodyBytes);
  assertModel(body.model, deps.settings);
  const { tokenizer } = deps.model;
  inVocabulary(body.tokens, tokenizer.vocabSize, 'tokens');
  return jsonResponse({ prompt: tokenizer.decode(body.tokens, { skipSpecialTokens: false }) });
}

function textToTokenize(deps: AppDeps, body: TokenizeBody): { text: string; addSpecialTokens: boolean } {
  const { messages } = body;
  if (messages) {
    const text = renderConversation(deps.model, { ...body, messages }, deps.settings);
    return { text, addSpecialTokens: body.add_special_tokens ?? false };
  }
  if (typeof body.prompt !== 'string') throw badRequest('`prompt` or `messages` is required.', 'prompt');
  return { text: body.prompt, addSpecialTokens: body.add_special_tokens ?? true };
}
