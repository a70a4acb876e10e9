/**
 * `GET /tokenizer_info`: what clients that tokenise themselves must know. Names as in a checkpoint's `tokenizer_config.json`.
 */
import type { AppDeps } from '../deps.ts';
import { jsonResponse } from '../responses.ts';

/** The class that reads a lone `tokenizer.json`, whatever class the checkpoint was made with. */
const tokenizerClass = 'PreTrainedTokenizerFast';

export function tokenizerInfo(deps: AppDeps): Response {
  const { tokenizer } = deps.model;
  const special = [...tokenizer.specialIds].sort((left, right) => left - right);
  return jsonResponse({
    tokenizer_class: tokenizerClass,
    vocab_size: tokenizer.vocabSize,
    model_max_length: deps.engine.state === 'ready' ? deps.engine.info.maxModelLen : null,
    ...tokenizer.namedTokens,
    added_tokens_decoder: Object.fromEntries(
      special.map((id) => [id, { content: tokenizer.idToToken(id) ?? '', special: true }]),
    ),
  });
}
