/**
 * The generation fields that chat and text completions share. One entry is one field of the wire.
 *
 * Ranges that depend on the model (vocabulary, context) are checked in `serving/sampling.ts`, which turns these into engine parameters.
 */
import * as v from 'valibot';
import { extraSamplerEntries } from './extra-samplers.ts';
import { integer, objectOf, optional, phrase, real, realAbove, tokenIds } from './fields.ts';

const maxStopStrings = 64;
const maxBadWords = 1024;

/** Beyond this the powers of lengths overflow. */
const maxLengthPenalty = 50;

/** Source of the rule: vLLM, where salts become parts of keys and paths. */
const cacheSalt = v.pipe(
  v.string(),
  v.minLength(1, 'must not be empty'),
  v.maxLength(128, 'must have at most 128 characters'),
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is one of the characters that are not allowed.
  v.check((salt) => !/[@/\\\u0000]/.test(salt), 'must not contain @, slashes or NUL'),
);

const int64 = { min: -(2 ** 63), max: 2 ** 64 } as const;

export const samplingEntries = {
  temperature: optional(real(0, 2)),
  top_p: optional(realAbove(0, 1)),
  /** 0 and -1 turn it off. */
  top_k: optional(integer(-1)),
  min_p: optional(real(0, 1)),
  presence_penalty: optional(real(-2, 2)),
  frequency_penalty: optional(real(-2, 2)),
  repetition_penalty: optional(realAbove(0, Number.MAX_VALUE)),
  logit_bias: optional(objectOf(v.record(v.string(), v.pipe(v.number(), v.finite('must be a finite number'))))),
  /** -1 means none. */
  seed: optional(integer(int64.min, int64.max)),
  n: optional(integer(1)),
  /** Candidates of which the `n` most probable are given; with beam search the number of beams. */
  best_of: optional(integer(1)),
  use_beam_search: optional(v.boolean()),
  length_penalty: optional(real(-maxLengthPenalty, maxLengthPenalty)),
  early_stopping: optional(v.union([v.boolean(), v.literal('never')])),
  stop: optional(
    v.union([
      phrase,
      v.pipe(v.array(phrase), v.maxLength(maxStopStrings, `must have at most ${maxStopStrings} entries`)),
    ]),
  ),
  stop_token_ids: optional(tokenIds),
  include_stop_str_in_output: optional(v.boolean()),
  ignore_eos: optional(v.boolean()),
  max_tokens: optional(integer(1)),
  min_tokens: optional(integer(0)),
  bad_words: optional(v.pipe(v.array(phrase), v.maxLength(maxBadWords, `must have at most ${maxBadWords} entries`))),
  allowed_token_ids: optional(v.pipe(tokenIds, v.minLength(1, 'must not be empty'))),
  skip_special_tokens: optional(v.boolean()),
  spaces_between_special_tokens: optional(v.boolean()),
  add_special_tokens: optional(v.boolean()),
  /** -1 = as many as fit. */
  truncate_prompt_tokens: optional(
    v.pipe(
      integer(-1),
      v.check((count) => count !== 0, 'must be at least 1, or -1'),
    ),
  ),
  truncation_side: optional(v.picklist(['left', 'right'])),
  /** -1 = the whole vocabulary. */
  prompt_logprobs: optional(integer(-1)),
  ...extraSamplerEntries,
};

/** The entries that describe the answer rather than the sampling. */
export const answerEntries = {
  model: optional(v.string()),
  stream: optional(v.boolean()),
  stream_options: optional(
    objectOf(v.object({ include_usage: optional(v.boolean()), continuous_usage_stats: optional(v.boolean()) })),
  ),
  /** Becomes part of the answer's id; the `X-Request-Id` header wins. */
  request_id: optional(v.string()),
  /** Puts the prompt, in chats the last message, before the answer. */
  echo: optional(v.boolean()),
  return_tokens_as_token_ids: optional(v.boolean()),
  return_token_ids: optional(v.boolean()),
  /** Lower runs first. */
  priority: optional(integer(Number.MIN_SAFE_INTEGER)),
  cache_salt: optional(cacheSalt),
};

const samplingSchema = v.object(samplingEntries);
const answerSchema = v.object(answerEntries);

export type WireSampling = v.InferOutput<typeof samplingSchema>;
export type WireAnswerOptions = v.InferOutput<typeof answerSchema>;
