/**
 * Settings of LoRA, speculative decoding, native jobs and media. Rows only; `../settings.ts` puts all sections together.
 */
import { boolean, choice, decimal, integer, json, list, notation, text } from '../kinds.ts';
import { acts, noEffect, planned, plannedQuietly, section } from '../setting.ts';

export const lora = section('LoRA', {
  enableLora: planned(boolean(), false, 'Serve LoRA adapters beside the model.'),
  loraModules: planned(notation('NAME=PATH|JSON'), null, 'Adapters to serve, with name and path.', {
    defaultText: 'none',
    unsetWords: ['[]', '{}', 'none'],
  }),
  maxLoras: plannedQuietly(integer({ min: 1 }), 1, 'Most adapters in one step.', { unit: 'adapters' }),
  maxLoraRank: plannedQuietly(integer({ min: 1 }), 16, 'Highest rank of an adapter.', { unit: 'ranks' }),
  maxCpuLoras: plannedQuietly(integer({ min: 1 }), null, 'Most adapters in host memory.', {
    defaultText: 'MAX_LORAS',
    unit: 'adapters',
  }),
  loraDtype: plannedQuietly(
    choice(['auto', 'float32', 'float16', 'bfloat16'], { float: 'float32', half: 'float16' }),
    'auto',
    'How adapters are stored on the GPU.',
  ),
  loraTargetModules: plannedQuietly(list('MODULE,...'), [], 'Modules to which adapters may apply.', {
    defaultText: 'all',
  }),
  defaultMmLoras: planned(json(), null, 'Adapters for images, audio or video.', { unsetWords: ['{}'] }),
  loraExtraVocabSize: noEffect(integer({ min: 0 }), 256, 'Adapters that add words to the vocabulary are not read.', {
    unit: 'tokens',
  }),
  longLoraScalingFactors: noEffect(notation('X,...'), null, 'Adapters that stretch positions are not read.'),
  fullyShardedLoras: noEffect(boolean(), false, 'Adapters stay whole: each server has one GPU.'),
});

export const speculative = section('Speculative decoding', {
  speculativeConfig: planned(json(), null, 'All of these settings as one JSON object.', {
    short: 'sc',
    unsetWords: ['{}'],
  }),
  speculativeMethod: planned(text('METHOD'), null, 'How tokens are guessed.', { unsetWords: ['none'] }),
  speculativeModel: planned(text('MODEL'), null, 'Model that guesses tokens.', { unsetWords: ['none'] }),
  numSpeculativeTokens: planned(integer({ min: 1 }), null, 'Tokens that are guessed at a time.', {
    unit: 'tokens',
    unsetWords: ['0'],
  }),
  speculativeMaxModelLen: plannedQuietly(integer({ min: 1 }), null, 'Longest sequence for which tokens are guessed.', {
    unit: 'tokens',
  }),
  speculativeDisableByBatchSize: plannedQuietly(integer({ min: 1 }), null, 'Guess nothing above so many requests.', {
    unit: 'requests',
  }),
  ngramPromptLookupMax: plannedQuietly(
    integer({ min: 1 }),
    null,
    'Longest run of tokens that is looked up in the prompt.',
    {
      unit: 'tokens',
      unsetWords: ['0'],
    },
  ),
  ngramPromptLookupMin: plannedQuietly(integer({ min: 1 }), null, 'Shortest such run.', {
    unit: 'tokens',
    unsetWords: ['0'],
  }),
  specDecodingAcceptanceMethod: plannedQuietly(
    choice(['rejection_sampler', 'typical_acceptance_sampler']),
    'rejection_sampler',
    'When a guessed token is kept.',
  ),
  typicalAcceptanceSamplerPosteriorThreshold: plannedQuietly(
    decimal({ min: 0 }),
    null,
    'Least probability of a guessed token that is kept by the typical acceptance sampler.',
  ),
  typicalAcceptanceSamplerPosteriorAlpha: plannedQuietly(
    decimal({ min: 0 }),
    null,
    'How much the typical acceptance sampler follows the entropy.',
  ),
  speculativeDraftTensorParallelSize: noEffect(
    integer({ min: 1 }),
    null,
    'The model that guesses shares the one GPU of the server.',
    { unit: 'GPUs' },
  ),
});

export const jobs = section('Native jobs', {
  defaultBatchSize: acts(integer({ min: 1 }), 50, 'Most tokens in one piece of a streamed job.', {
    unit: 'tokens',
  }),
  defaultMinBatchSize: acts(integer({ min: 1 }), 1, 'Tokens in the first piece of a streamed job.', {
    unit: 'tokens',
    oldNames: [{ name: 'min-batch-size', isInverted: false }],
  }),
  defaultBatchSizeGrowthFactor: acts(
    decimal({ min: 1 }),
    3,
    'How much larger each piece of a streamed job is than the one before.',
    { oldNames: [{ name: 'batch-size-growth-factor', isInverted: false }] },
  ),
  rawOpenaiOutput: acts(boolean(), true, 'Stream OpenAI jobs as the lines of an event stream, not as objects.'),
  nativeOutput: acts(
    choice(['batches', 'openai']),
    'batches',
    'Shape of the output of native jobs: batches of tokens, or the OpenAI object.',
  ),
});

export const media = section('Images, audio and video', {
  limitMmPerPrompt: noEffect(notation('JSON'), null, 'Prompts are text alone: images, audio and video are refused.'),
  mmProcessorKwargs: noEffect(notation('JSON'), null, 'Prompts are text alone.'),
  mmProcessorCacheGb: noEffect(decimal({ min: 0 }), 4, 'Prompts are text alone.', { unit: 'GiB' }),
  mmProcessorCacheType: noEffect(text('NAME'), null, 'Prompts are text alone.'),
  mmShmCacheMaxObjectSizeMb: noEffect(integer({ min: 0 }), 128, 'Prompts are text alone.', { unit: 'MiB' }),
  disableMmPreprocessorCache: noEffect(boolean(), false, 'Prompts are text alone.'),
  mmEncoderTpMode: noEffect(text('NAME'), 'weights', 'Prompts are text alone.'),
  mmEncoderAttnBackend: noEffect(text('NAME'), null, 'Prompts are text alone.'),
  enableMmEmbeds: noEffect(boolean(), false, 'Prompts are text alone.'),
  interleaveMmStrings: noEffect(boolean(), false, 'Prompts are text alone.'),
  mediaIoKwargs: noEffect(notation('JSON'), null, 'Prompts are text alone.'),
  skipMmProfiling: noEffect(boolean(), false, 'Prompts are text alone.'),
  videoPruningRate: noEffect(decimal({ min: 0 }), null, 'Prompts are text alone.'),
  disableChunkedMmInput: noEffect(boolean(), false, 'Prompts are text alone.'),
  languageModelOnly: noEffect(boolean(), false, 'Prompts are text alone.'),
  allowedLocalMediaPath: noEffect(text('FOLDER'), null, 'Prompts are text alone: no file is read for a request.'),
  allowedMediaDomains: noEffect(list('DOMAIN,...'), [], 'Prompts are text alone: nothing is fetched for a request.', {
    defaultText: 'none',
  }),
});
