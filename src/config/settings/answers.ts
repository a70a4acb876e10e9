/**
 * Settings of how requests are understood and answered, with tools, reasoning and structured outputs.
 *
 * Rows only; `../settings.ts` puts all sections together.
 */
import { boolean, choice, integer, json, notation, text } from '../kinds.ts';
import { acts, noEffect, planned, section } from '../setting.ts';

export const answers = section('Requests and answers', {
  responseRole: {
    env: ['OPENAI_RESPONSE_ROLE', 'RESPONSE_ROLE'],
    kind: text('ROLE'),
    default: 'assistant',
    description: 'Role of the messages in chat completions.',
  },
  maxLogprobs: {
    kind: integer({ min: -1 }),
    default: 20,
    unit: 'tokens',
    description: 'Most log probabilities that a request may ask for per token; -1 allows the whole vocabulary.',
  },
  logprobsMode: planned(
    choice(['raw_logprobs', 'processed_logprobs', 'raw_logits', 'processed_logits']),
    'raw_logprobs',
    'What log probabilities mean: before or after penalties and the like.',
  ),
  maxNSequences: acts(integer({ min: 1 }), 16_384, 'Most answers that one request may ask for.', {
    env: ['VLLM_MAX_N_SEQUENCES', 'MAX_N_SEQUENCES'],
    unit: 'sequences',
  }),
  generationConfig: acts(
    text('auto|vllm|FOLDER'),
    'auto',
    "Defaults of sampling: auto is the model's `generation_config.json`, vllm is none, else a folder with such a file.",
  ),
  overrideGenerationConfig: acts(json(), null, 'Defaults of sampling that go before those of GENERATION_CONFIG.', {
    unsetWords: ['{}'],
  }),
  chatTemplateContentFormat: acts(
    choice(['auto', 'string', 'openai']),
    'auto',
    'Whether templates get message content as text or as a list of parts; auto looks at the template.',
  ),
  trustRequestChatTemplate: acts(boolean(), false, 'Let requests bring a chat template of their own.'),
  defaultChatTemplateKwargs: acts(json(), null, 'Variables for the chat template; those of a request go before.', {
    unsetWords: ['{}'],
  }),
  returnTokensAsTokenIds: acts(boolean(), false, 'Show tokens in log probabilities as `token_id:N`.'),
  enablePromptTokensDetails: acts(boolean(), false, 'Say in the usage how many prompt tokens were cached.'),
  enableForceIncludeUsage: acts(boolean(), false, 'Send the usage with every stream.'),
  enablePerRequestMetrics: acts(boolean(), false, 'Say in the answer how long its parts took.'),
  enablePromptEmbeds: planned(boolean(), false, 'Take embeddings instead of a prompt.'),
  fingerprintMode: planned(
    choice(['full', 'hash', 'custom', 'none']),
    'none',
    'What `system_fingerprint` in answers says.',
  ),
  fingerprintValue: planned(text('TEXT'), null, 'The text of `system_fingerprint` in mode custom.'),
  tokensOnly: planned(boolean(), false, 'Serve the route from token ids to token ids alone.'),
});

export const tools = section('Tools and structured outputs', {
  enableAutoToolChoice: planned(boolean(), false, 'Let the model decide whether it calls a tool.'),
  toolCallParser: planned(text('NAME'), null, 'How tool calls are read from the text.', { unsetWords: ['none'] }),
  excludeToolsWhenToolChoiceNone: planned(
    boolean(),
    false,
    'Keep tools out of the prompt when the request forbids them.',
  ),
  toolServer: planned(text('HOST:PORT,...'), null, 'Servers of tools that this server may call itself.'),
  reasoningParser: planned(text('NAME'), null, 'How reasoning is told from the answer.', { unsetWords: ['none'] }),
  reasoningConfig: planned(notation('JSON'), null, 'Settings of reasoning.'),
  structuredOutputsConfig: planned(notation('JSON'), null, 'Settings of structured outputs.', { unsetWords: ['{}'] }),
  guidedDecodingBackend: noEffect(text('NAME'), 'auto', 'How structured outputs are made is not for choosing.', {
    unsetWords: ['none'],
  }),
  guidedDecodingDisableFallback: noEffect(boolean(), false, 'How structured outputs are made is not for choosing.'),
  guidedDecodingDisableAnyWhitespace: planned(boolean(), false, 'Allow no white space between the parts of JSON.'),
  guidedDecodingDisableAdditionalProperties: planned(
    boolean(),
    false,
    'Allow no properties that a schema does not name.',
  ),
});
