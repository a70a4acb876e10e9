/**
 * Fields that the protocol knows and this version cannot honour: a request that sets one is refused with the field's name, never
 * silently answered as if it were absent.
 *
 * Supporting a field means: delete its row here, add its entry to a schema. Null and absent are always accepted.
 */
import { isDeepStrictEqual } from 'node:util';

export interface UnsupportedField {
  readonly field: string;
  /** Whether a value asks for nothing, so that it may be accepted. */
  isNeutral(value: unknown, body: Readonly<Record<string, unknown>>): boolean;
}

const never = (field: string): UnsupportedField => ({ field, isNeutral: () => false });

const only = (field: string, ...neutral: readonly unknown[]): UnsupportedField => ({
  field,
  isNeutral: (value) => neutral.some((candidate) => isDeepStrictEqual(candidate, value)),
});

const unsupportedEverywhere: readonly UnsupportedField[] = [
  only('response_format', { type: 'text' }),
  never('structured_outputs'),
  never('guided_json'),
  never('guided_regex'),
  never('guided_choice'),
  never('guided_grammar'),
  never('guided_whitespace_pattern'),
  never('guided_decoding_backend'),
  never('logprob_token_ids'),
  only('return_prompt_text', false),
  only('return_token_offsets', false),
  only('stream_interval', 1),
  never('repetition_detection'),
  never('thinking_token_budget'),
  never('logits_processors'),
  never('kv_transfer_params'),
  never('ec_transfer_params'),
  never('vllm_xargs'),
];

export const unsupportedInChat: readonly UnsupportedField[] = [
  ...unsupportedEverywhere,
  never('tools'),
  only('tool_choice', 'none'),
  never('functions'),
  only('function_call', 'none'),
  only('modalities', ['text']),
  never('audio'),
  never('prediction'),
  never('web_search_options'),
  never('moderation'),
  only('verbosity', 'medium'),
  only('store', false),
  never('media_io_kwargs'),
  never('mm_processor_kwargs'),
];

export const unsupportedInCompletions: readonly UnsupportedField[] = [...unsupportedEverywhere, never('prompt_embeds')];

export const unsupportedInTokenize: readonly UnsupportedField[] = [
  never('tools'),
  never('media_io_kwargs'),
  never('mm_processor_kwargs'),
];
