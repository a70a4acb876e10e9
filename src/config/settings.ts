/**
 * The one table of all settings: flags, environment variables, YAML keys, kinds, defaults and descriptions.
 *
 * Parsing, `--help`, `docs/configuration.md` and the README's table all come from here; a new setting is a new row.
 * A row's key gives its flag, variable and YAML key unless the row names them. When a section outgrows this file, move its
 * rows to a file of their own and spread them in. Which field of the configuration a value becomes: `load-config.ts`.
 */
import { boolean, choice, decimal, integer, list, type Setting, section, text, url, verbatim } from './setting.ts';

/** Where models are looked up when no other hub is named. */
const DEFAULT_HUB = 'https://huggingface.co';

const server = section('Server', {
  host: {
    kind: text('ADDRESS'),
    default: '0.0.0.0',
    description: 'Address to listen on.',
  },
  port: {
    kind: integer({ min: 0, max: 65535 }),
    default: 8000,
    description: 'Port to listen on; 0 takes a free one.',
  },
  apiKeys: {
    name: 'api-key',
    env: ['API_KEY', 'VLLM_API_KEY'],
    kind: list('KEY,...'),
    default: [],
    defaultText: 'none: open',
    description: 'Keys of which clients must send one as bearer token.',
  },
  servedModelNames: {
    name: 'served-model-name',
    env: ['OPENAI_SERVED_MODEL_NAME_OVERRIDE', 'SERVED_MODEL_NAME'],
    kind: list('NAME,...'),
    default: [],
    defaultText: 'the model',
    description: 'Names under which the model is served; answers carry the first.',
  },
  responseRole: {
    env: ['OPENAI_RESPONSE_ROLE', 'RESPONSE_ROLE'],
    kind: text('ROLE'),
    default: 'assistant',
    description: 'Role of the messages in chat completions.',
  },
  maxLogprobs: {
    kind: integer({ min: -1 }),
    default: 20,
    description: 'Most log probabilities that a request may ask for per token; -1 allows the whole vocabulary.',
  },
  maxRequestBodyBytes: {
    kind: integer({ min: 1 }),
    default: 32 * 2 ** 20,
    unit: 'bytes',
    description: 'Larger request bodies are refused.',
  },
  shutdownTimeout: {
    kind: decimal({ min: 0 }),
    default: 30,
    unit: 'seconds',
    description: 'How long running requests may go on after SIGTERM or Ctrl-C before they are aborted.',
  },
});

const model = section('Model', {
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
});

const hub = section('Hub', {
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

const engine = section('Engine', {
  gpuBinding: {
    kind: choice(['auto', 'bun-webgpu', 'webgpu']),
    default: 'auto',
    description: 'Which WebGPU binding drives the GPU.',
  },
  kvCacheDtype: {
    kind: choice(['auto', 'float32', 'float16'], { float: 'float32', half: 'float16' }),
    default: 'auto',
    description: 'How the KV cache is stored.',
  },
  blockSize: {
    kind: choice([8, 16, 32]),
    default: 16,
    unit: 'tokens',
    description: 'Tokens in one block of the KV cache.',
  },
  gpuMemoryUtilization: {
    kind: decimal({ min: 0, max: 1, isMinOpen: true }),
    default: 0.95,
    description: 'Share of the GPU memory that weights and KV cache may take.',
  },
  gpuMemoryGib: {
    name: 'gpu-memory-gib',
    env: ['WGSLM_GPU_MEMORY_GIB'],
    kind: decimal({ min: 0, isMinOpen: true }),
    default: null,
    defaultText: 'what the system reports',
    unit: 'GiB',
    description: 'GPU memory of which the share is taken; WebGPU cannot tell it.',
  },
  numGpuBlocksOverride: {
    kind: integer({ min: 1 }),
    default: null,
    defaultText: 'what fits',
    unit: 'blocks',
    description: 'Number of KV cache blocks.',
  },
  maxNumBatchedTokens: {
    kind: integer({ min: 1 }),
    default: null,
    defaultText: 'suits the adapter',
    unit: 'tokens',
    unsetWords: ['0'],
    description: 'Most tokens in one step, over all sequences.',
  },
  maxNumSeqs: {
    kind: integer({ min: 1 }),
    default: 256,
    unit: 'sequences',
    description: 'Most sequences in one step.',
  },
  enableChunkedPrefill: {
    kind: boolean(),
    default: true,
    description: 'Let a long prompt spread over several steps, beside sequences that decode.',
  },
  seed: {
    kind: integer({ min: 0 }),
    default: 0,
    description: 'Seed for requests that bring none.',
  },
  gpuRobustness: {
    env: ['WGSLM_GPU_ROBUSTNESS'],
    kind: boolean(),
    default: false,
    description: 'Bounds checks in shaders and validation in Dawn: safer, slower.',
  },
});

/** All settings by key, in the order of the documentation. */
export const settings = { ...server, ...model, ...hub, ...engine };

export type SettingKey = keyof typeof settings;

/** What each setting was read as, or its default. */
export type SettingValues = {
  readonly [Key in SettingKey]: (typeof settings)[Key] extends Setting<infer Value> ? Value : never;
};
