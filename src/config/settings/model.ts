/**
 * Settings of the model, its tokenizer and where both come from. Rows only; `../settings.ts` puts all sections together.
 */
import { boolean, choice, decimal, integer, json, list, notation, text, url, verbatim } from '../kinds.ts';
import { acts, noEffect, planned, plannedQuietly, section } from '../setting.ts';

/** Where models are looked up when no other hub is named. */
const DEFAULT_HUB = 'https://huggingface.co';

export const model = section('Model', {
  model: {
    flagAliases: ['model-name'],
    env: ['MODEL_NAME', 'MODEL'],
    kind: text('MODEL'),
    default: null,
    defaultText: 'the bundled demo model',
    description: 'A local folder or a Hub id; may also stand alone, without its flag.',
  },
  revision: {
    flagAliases: ['model-revision'],
    env: ['MODEL_REVISION', 'REVISION'],
    kind: text('REVISION'),
    default: 'main',
    description: "Branch, tag or commit of the model's repository.",
  },
  chatTemplate: {
    flagAliases: ['custom-chat-template'],
    env: ['CUSTOM_CHAT_TEMPLATE', 'CHAT_TEMPLATE'],
    kind: verbatim('JINJA|FILE'),
    default: null,
    defaultText: "the checkpoint's own",
    description: 'Chat template: Jinja text or a path to it.',
  },
  dtype: {
    kind: choice(['auto', 'float32', 'float16', 'bfloat16'], { float: 'float32', half: 'float16' }),
    default: 'auto',
    description: "How weights are stored on the GPU; auto keeps the checkpoint's format. Sums are float32 always.",
  },
  maxModelLen: {
    kind: integer({ min: 1 }),
    default: null,
    defaultText: 'what the model declares',
    unit: 'tokens',
    unsetWords: ['-1', 'auto'],
    description: 'Longest prompt plus output; clipped to what fits in memory.',
  },
  tokenizer: planned(text('TOKENIZER'), null, 'A folder or Hub id with another tokenizer.', {
    flagAliases: ['tokenizer-name'],
    env: ['TOKENIZER_NAME', 'TOKENIZER'],
    defaultText: "the model's own",
    sameAs: 'model',
  }),
  tokenizerRevision: planned(text('REVISION'), null, "Branch, tag or commit of the tokenizer's repository.", {
    defaultText: "the model's",
    sameAs: 'revision',
    unsetWords: ['main'],
  }),
  tokenizerMode: noEffect(
    choice(['auto', 'hf', 'slow']),
    'auto',
    'There is one tokenizer implementation, the fast one.',
    {
      plannedWords: ['mistral', 'custom'],
    },
  ),
  skipTokenizerInit: planned(boolean(), false, 'Start without a tokenizer: token ids in and out.'),
  quantization: acts(
    choice(['int8', 'int4']),
    null,
    'Round the weights of the layers when they are loaded: to 8 bits, or to 4, each with a scale for every 32 of them.',
    {
      short: 'q',
      defaultText: 'what the checkpoint says',
      unsetWords: ['none', 'auto'],
      plannedWords: [
        ...[
          'awq',
          'awq_marlin',
          'bitsandbytes',
          'compressed-tensors',
          'deepspeedfp',
          'experts_int8',
          'fbgemm_fp8',
          'fp8',
        ],
        ...['gguf', 'gptq', 'gptq_marlin', 'hqq', 'marlin', 'modelopt', 'mxfp4', 'squeezellm', 'torchao'],
      ],
    },
  ),
  intActivations: acts(
    boolean(),
    false,
    'With QUANTIZATION, round activations to 8 bits as well and multiply integers: quicker where arithmetic is the limit, less exact.',
  ),
  quantizationParamPath: planned(text('FILE'), null, 'File with scaling factors for an fp8 KV cache.'),
  loadFormat: planned(text('FORMAT'), 'auto', 'Format of the weights; auto and safetensors are read.', {
    unsetWords: ['safetensors', 'hf'],
  }),
  configFormat: planned(text('FORMAT'), 'auto', "Format of the model's configuration; auto and hf are read.", {
    unsetWords: ['hf'],
  }),
  hfConfigPath: planned(text('FOLDER'), null, "Another place of the model's configuration."),
  hfOverrides: planned(json(), null, "Values that replace those of the model's configuration.", { unsetWords: ['{}'] }),
  ropeScaling: planned(json(), null, 'How positions are stretched beyond the trained length.', {
    defaultText: 'what the model declares',
    unsetWords: ['{}'],
  }),
  ropeTheta: planned(decimal({ min: 0, isMinOpen: true }), null, 'Base of the rotary position embedding.', {
    defaultText: 'what the model declares',
  }),
  disableSlidingWindow: planned(
    boolean(),
    false,
    "Limit the context to the model's sliding window instead of sliding.",
  ),
  runner: planned(text('RUNNER'), 'auto', 'What the model is run for; only generation is served.', {
    unsetWords: ['generate'],
  }),
  convert: planned(text('CONVERSION'), 'auto', 'Which other kind of model it is turned into.', {
    unsetWords: ['none'],
  }),
  task: planned(text('TASK'), 'auto', 'What the model is used for; only generation is served.', {
    unsetWords: ['generate'],
  }),
  poolerConfig: planned(notation('JSON'), null, 'How embedding models pool.', {
    oldNames: [{ name: 'override-pooler-config', isInverted: false }],
  }),
  modelImpl: noEffect(text('NAME'), 'auto', 'There is one implementation of each model.'),
  trustRemoteCode: noEffect(
    boolean(),
    false,
    'Code of a model repository is never run; unknown architectures are refused.',
  ),
  codeRevision: noEffect(text('REVISION'), null, 'Code of a model repository is never run.'),
  modelLoaderExtraConfig: noEffect(notation('JSON'), null, 'There is one loader, and it has nothing to set.'),
  safetensorsLoadStrategy: noEffect(text('NAME'), null, 'Weights are always read piece by piece, straight to the GPU.'),
  ignorePatterns: noEffect(list('PATTERN,...'), [], 'Only the files that are needed are downloaded.', {
    defaultText: 'none',
  }),
  useTqdmOnLoad: noEffect(boolean(), true, 'Progress is shown where stderr is a terminal.'),
  tokenizerPoolSize: noEffect(integer({ min: 0 }), 0, 'Long prompts are tokenized in a thread of its own.', {
    unit: 'threads',
  }),
  tokenizerPoolType: noEffect(text('NAME'), 'ray', 'Long prompts are tokenized in a thread of its own.'),
  tokenizerPoolExtraConfig: noEffect(notation('JSON'), null, 'Long prompts are tokenized in a thread of its own.'),
  enableSleepMode: plannedQuietly(boolean(), false, 'Let the server give its GPU memory back while it is not needed.'),
});

export const hub = section('Hub', {
  hfToken: {
    env: ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'],
    kind: text('TOKEN'),
    default: null,
    defaultText: 'the token file',
    description: 'Access token for private and gated repositories.',
  },
  hfTokenPath: {
    kind: text('FILE'),
    default: null,
    defaultText: '`token` in HF_HOME',
    description: 'File that holds the access token.',
  },
  hfEndpoint: {
    kind: url(),
    default: DEFAULT_HUB,
    description: 'Address of the Hub or of a mirror.',
  },
  basePath: {
    kind: text('FOLDER'),
    default: null,
    defaultText: 'not set',
    description:
      'Storage folder, often a volume: models are kept in `huggingface-cache/hub` below it, whatever HF_HOME is.',
  },
  hfHome: {
    kind: text('FOLDER'),
    default: null,
    defaultText: '`~/.cache/huggingface`',
    description: 'Folder of the token file and the cache.',
  },
  hfHubCache: {
    env: ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE'],
    kind: text('FOLDER'),
    default: null,
    defaultText: '`hub` in HF_HOME',
    description: 'Folder of downloaded models.',
  },
  downloadDir: {
    kind: text('FOLDER'),
    default: null,
    defaultText: 'HF_HUB_CACHE',
    description: 'Folder of downloaded models, in the same layout; goes before HF_HUB_CACHE.',
  },
  hfHubOffline: {
    env: ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'],
    kind: boolean(),
    default: false,
    description: 'Use what is in the cache and never the network.',
  },
});
