/**
 * The `sampling_params` of native jobs: which names there are, and the defaults that differ from the OpenAI routes.
 *
 * Values are checked by the same wire schemas as the routes', so that both know the same fields and refuse the same ones.
 * Source: the sampling table of RunPod's vLLM worker, with vLLM's own names. Next: `native.ts`.
 */
import { badRequest } from '../serving/errors.ts';
import type { GenerationDefaults } from '../serving/generation-defaults.ts';

/** The documented table. */
const documentedNames = [
  'n',
  'best_of',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'use_beam_search',
  'length_penalty',
  'early_stopping',
  'stop',
  'stop_token_ids',
  'ignore_eos',
  'max_tokens',
  'skip_special_tokens',
  'spaces_between_special_tokens',
];

/** What vLLM takes besides. The routes decide which of these are supported. */
const furtherNames = [
  'seed',
  'bad_words',
  'include_stop_str_in_output',
  'min_tokens',
  'logprobs',
  'prompt_logprobs',
  'logit_bias',
  'allowed_token_ids',
  'truncate_prompt_tokens',
  'structured_outputs',
  'guided_decoding',
  'guided_json',
  'guided_regex',
  'guided_choice',
  'guided_grammar',
  'guided_whitespace_pattern',
  'guided_decoding_backend',
  'logits_processors',
  'detokenize',
];

const knownNames: ReadonlySet<string> = new Set([...documentedNames, ...furtherNames]);

/** Names that the routes do not have, with the only value that asks for nothing. */
const neutralOnly: Readonly<Record<string, unknown>> = { detokenize: true, guided_decoding: null };

/** As the table says: the routes have others. */
const defaultMaxTokens = 16;
const defaultTemperature = 1;

/**
 * The parameters as fields of a completions or chat body, with the native defaults.
 * Throws: ApiError 400 for a name that is none, or that asks for something a native job cannot have.
 */
export function nativeSampling(
  params: Readonly<Record<string, unknown>>,
  defaults: GenerationDefaults,
): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(params)) {
    if (!knownNames.has(name)) throw badRequest(`\`sampling_params\` has no parameter \`${name}\`.`, name);
    if (name in neutralOnly) {
      if (value !== null && value !== neutralOnly[name]) {
        throw badRequest(`\`${name}\` is not supported yet with the given value.`, name);
      }
    } else if (name !== 'logprobs') {
      // Native answers have no place for log probabilities, so that asking for them changes nothing.
      body[name] = value;
    }
  }
  body.max_tokens ??= defaultMaxTokens;
  body.temperature ??= defaults.temperature ?? defaultTemperature;
  return body;
}
