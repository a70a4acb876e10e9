/**
 * The rows of the fields that chat and text completions have in common. Next: `chat.ts`, `completions.ts`.
 */
import { TokenTable } from '../../../src/text/token-table.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import type { Script } from '../fake-engine.ts';
import { idsOf, says, testModel } from '../test-app.ts';
import { byteLevelFile, testIds, testTokenizerLlama } from '../test-tokenizer.ts';
import {
  acts,
  answer,
  choice,
  differs,
  extra,
  numChoices,
  numSequences,
  type ParameterCase,
  param,
  type Seen,
  said,
  usageChunks,
} from './case.ts';

/** A tokenizer that begins every text with `<s>`. */
const llama = testTokenizerLlama();
const llamaModel = {
  ...testModel(),
  tokenizer: llama,
  tokens: new TokenTable(llama),
  encoder: {
    encode: (text: string, options: { addSpecialTokens: boolean }) => Promise.resolve(llama.encode(text, options)),
    close: () => Promise.resolve(),
  },
};
const llamaBegin = 1;
const beginsWith = ({ requests }: Seen): unknown => requests[0]?.promptTokenIds[0] === llamaBegin;

/** Three ids whose middle is special. */
const special = [...idsOf('a'), testIds.endOfText, ...idsOf('b')];

/** Proposes `a`, and the ids after it a little less probable, whatever came before. */
const sameAgain: Script = () => [97];
const search = { use_beam_search: true, best_of: 3, max_tokens: 4 };

const isAtMostOneToken = ({ requests }: Seen): boolean => requests.every(({ params }) => params.maxTokens === 1);

const counts: readonly ParameterCase[] = [
  acts('n', 3, numChoices, 3),
  acts('best_of', 2, (seen) => [numSequences(seen), numChoices(seen)], [2, 1]),
  acts('use_beam_search', true, isAtMostOneToken, true, { needs: { n: 2, max_tokens: 3 }, script: sameAgain }),
  acts('length_penalty', 0, choice('finish_reason'), 'stop', {
    needs: { ...search, stop_token_ids: [98] },
    script: sameAgain,
  }),
  acts('early_stopping', true, numSequences, 3, {
    needs: { ...search, best_of: 2, stop_token_ids: [98] },
    script: sameAgain,
  }),
];

const lengths: readonly ParameterCase[] = [
  acts('max_tokens', 3, param('maxTokens'), 3),
  acts('min_tokens', 2, param('minTokens'), 2),
  acts('ignore_eos', true, param('ignoreEos'), true),
  acts('stop', 'lo', (seen) => [said(seen), choice('stop_reason')(seen)], ['hel', 'lo']),
  acts('stop_token_ids', [5, 6], param('stopTokenIds'), [5, 6]),
  acts('include_stop_str_in_output', true, said, 'hello', { needs: { stop: 'lo' } }),
];

const sampling: readonly ParameterCase[] = [
  acts('temperature', 1.5, param('temperature'), 1.5),
  acts('top_p', 0.5, param('topP'), 0.5),
  acts('top_k', 5, param('topK'), 5),
  acts('min_p', 0.1, param('minP'), 0.1),
  acts('presence_penalty', -1, param('presencePenalty'), -1),
  acts('frequency_penalty', 1.5, param('frequencyPenalty'), 1.5),
  acts('repetition_penalty', 1.2, param('repetitionPenalty'), 1.2),
  // As far as f32 holds what becomes of a logit.
  acts('repetition_penalty', 1e-300, param('repetitionPenalty'), 1e-4),
  acts('repetition_penalty', 1e300, param('repetitionPenalty'), 1e4),
  acts('logit_bias', { 5: 2, 7: -300 }, param('logitBias'), [
    [5, 2],
    [7, -100],
  ]),
  acts('seed', 7, param('seed'), [7, 0]),
  acts('bad_words', ['a'], param('bannedSequences'), [idsOf('a'), idsOf(' a')]),
  acts('allowed_token_ids', [5, 6], param('allowedTokenIds'), [5, 6]),
];

const extras: readonly ParameterCase[] = [
  acts('typical_p', 0.9, extra('typicalP'), 0.9),
  acts('top_n_sigma', 1.5, extra('topNSigma'), 1.5),
  acts('temperature_last', true, extra('temperatureLast'), true),
  acts('dynatemp_range', 0.5, extra('dynatempRange'), 0.5),
  acts('dynatemp_exponent', 2, extra('dynatempExponent'), 2, { needs: { dynatemp_range: 0.5 } }),
  acts('dynatemp_exponent', 1e-300, extra('dynatempExponent'), 1e-4, { needs: { dynatemp_range: 0.5 } }),
  acts('xtc_probability', 0.5, extra('xtcProbability'), 0.5),
  acts('xtc_threshold', 0.2, extra('xtcThreshold'), 0.2, { needs: { xtc_probability: 0.5 } }),
  acts('dry_multiplier', 0.8, dry('multiplier'), 0.8),
  acts('dry_base', 2, dry('base'), 2, { needs: { dry_multiplier: 1 } }),
  acts('dry_allowed_length', 4, dry('allowedLength'), 4, { needs: { dry_multiplier: 1 } }),
  acts('dry_penalty_last_n', 64, dry('lastN'), 64, { needs: { dry_multiplier: 1 } }),
  acts('dry_sequence_breakers', [], dry('breakers'), [], { needs: { dry_multiplier: 1 } }),
  acts('mirostat', 2, extra('mirostat'), { tau: 5, eta: 0.1 }),
  acts('mirostat_tau', 3, extra('mirostat'), { tau: 3, eta: 0.1 }, { needs: { mirostat: 2 } }),
  acts('mirostat_eta', 0.5, extra('mirostat'), { tau: 5, eta: 0.5 }, { needs: { mirostat: 2 } }),
  acts('repeat_last_n', 32, extra('repeatLastN'), 32),
];

const promptFields: readonly ParameterCase[] = [
  acts('truncate_prompt_tokens', 1, ({ requests }) => requests[0]?.promptTokenIds.length, 1),
  // The first token of `hi` is `h`, of a rendered conversation the marker of its first message.
  acts(
    'truncation_side',
    'right',
    ({ requests }) => [104, testIds.imStart].includes(requests[0]?.promptTokenIds[0] ?? 0),
    true,
    {
      needs: { truncate_prompt_tokens: 1 },
    },
  ),
  acts('prompt_logprobs', 1, param('numPromptLogprobs'), 1),
  acts('cache_salt', 'tenant', ({ requests }) => requests[0]?.cacheSalt, 'tenant'),
  acts('priority', -3, ({ requests }) => requests[0]?.priority, -3, {
    overrides: { settings: { schedulingPolicy: 'priority' } },
  }),
];

const answerFields: readonly ParameterCase[] = [
  acts('model', 'alias/of-it', (seen) => answer(seen).model, 'test-model', {
    isDefault: 'there is one model; that another name is refused is tested beside this table',
  }),
  acts('stream', true, ({ hasStream }) => hasStream, true),
  acts('stream_options', { include_usage: true }, (seen) => usageChunks(seen)[0], 1, { needs: { stream: true } }),
  differs(
    'stream_options.include_usage',
    { stream: true, stream_options: { include_usage: true } },
    { stream: true, stream_options: {} },
    (seen) => usageChunks(seen)[0],
    1,
  ),
  differs(
    'stream_options.continuous_usage_stats',
    { stream: true, stream_options: { include_usage: true, continuous_usage_stats: true } },
    { stream: true, stream_options: { include_usage: true } },
    (seen) => usageChunks(seen)[0] === usageChunks(seen)[1],
    true,
  ),
  acts('request_id', 'mine-1', (seen) => /-mine-1(-|$)/.test(String(answer(seen).id)), true),
  acts('return_token_ids', true, choice('token_ids'), [...idsOf('hello world'), testIds.imEnd]),
  acts('skip_special_tokens', false, said, 'a<|endoftext|>b', { script: () => special }),
  acts('spaces_between_special_tokens', false, said, 'a <|endoftext|><|im_start|>', {
    needs: { skip_special_tokens: false },
    script: () => [97, testIds.endOfText, testIds.imStart],
    overrides: {
      model: { ...testModel(), tokens: new TokenTable(new Tokenizer({ ...byteLevelFile(), decoder: null }, {})) },
    },
  }),
];

function dry(name: 'multiplier' | 'base' | 'allowedLength' | 'lastN' | 'breakers'): ParameterCase['observe'] {
  return ({ requests }) => requests[0]?.params.extras?.dry?.[name];
}

/** `<s>` before the prompt: chats leave it to their template, texts do not. */
export const addsSpecialTokens = (value: boolean): ParameterCase =>
  acts('add_special_tokens', value, beginsWith, value, { overrides: { model: llamaModel } });

export const tokensAsIds = (logprobs: unknown): ParameterCase =>
  acts('return_tokens_as_token_ids', true, ({ text }) => text.includes('"token_id:259"'), true, {
    needs: { logprobs },
    script: says('hello'),
  });

export const sharedCases: readonly ParameterCase[] = [
  ...counts,
  ...lengths,
  ...sampling,
  ...extras,
  ...promptFields,
  ...answerFields,
];
