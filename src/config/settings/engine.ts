/**
 * Settings of the engine: memory, KV cache, scheduling. Rows only; `../settings.ts` puts all sections together.
 */
import { boolean, choice, decimal, integer, json, text } from '../kinds.ts';
import { acts, noEffect, planned, plannedQuietly, section } from '../setting.ts';

export const engine = section('Engine', {
  gpuBinding: acts(choice(['auto', 'bun-webgpu', 'webgpu']), 'auto', 'Which WebGPU binding drives the GPU.'),
  gpuSubgroups: acts(
    choice(['auto', 'off']),
    'auto',
    'Use subgroup operations where the GPU has them and passes a check at load.',
  ),
  gpuF16: acts(
    choice(['auto', 'off']),
    'auto',
    'Use float16 types in kernels where the GPU has them and passes a check at load; weights in float16 need none.',
  ),
  gpuMatrices: acts(
    choice(['auto', 'off']),
    'auto',
    'Use subgroup matrices (tensor cores) where the GPU has them and passes a check at load; they need the two above.',
  ),
  kvCacheDtype: {
    kind: choice(['auto', 'float32', 'float16', 'bfloat16', 'int8', 'fp8', 'fp8_e4m3', 'fp8_e5m2'], {
      float: 'float32',
      half: 'float16',
    }),
    default: 'auto',
    plannedWords: ['fp8_inc', 'fp8_ds_mla'],
    description:
      'How the KV cache is stored: auto suits the weights, int8 has a scale per token and head, fp8 is fp8_e4m3 and has none.',
  },
  blockSize: acts(choice([8, 16, 32]), 16, 'Tokens in one block of the KV cache.', { unit: 'tokens' }),
  gpuMemoryUtilization: acts(
    decimal({ min: 0, max: 1, isMinOpen: true }),
    0.95,
    'Share of the GPU memory that weights and KV cache may take.',
  ),
  gpuMemoryGib: {
    name: 'gpu-memory-gib',
    env: ['WGSLM_GPU_MEMORY_GIB'],
    kind: decimal({ min: 0, isMinOpen: true }),
    default: null,
    defaultText: 'what the system reports',
    unit: 'GiB',
    description: 'GPU memory of which the share is taken; WebGPU cannot tell it.',
  },
  numGpuBlocksOverride: acts(integer({ min: 1 }), null, 'Number of KV cache blocks.', {
    unit: 'blocks',
    defaultText: 'what fits',
  }),
  maxNumBatchedTokens: acts(integer({ min: 1 }), null, 'Most tokens in one step, over all sequences.', {
    unit: 'tokens',
    defaultText: 'suits the adapter',
    unsetWords: ['0'],
  }),
  maxNumSeqs: acts(integer({ min: 1 }), 256, 'Most sequences in one step.', { unit: 'sequences' }),
  enableChunkedPrefill: acts(
    boolean(),
    true,
    'Let a long prompt spread over several steps, beside sequences that decode.',
  ),
  seed: acts(integer({ min: 0 }), 0, 'Seed for requests that bring none.'),
  autotune: acts(
    boolean(),
    true,
    'Measure at the first start on a GPU which sizes of kernels suit it best, for about two seconds, and keep the result in the cache folder.',
  ),
  gpuRobustness: acts(boolean(), false, 'Bounds checks in shaders and validation in Dawn: safer, slower.', {
    env: ['WGSLM_GPU_ROBUSTNESS'],
  }),
  enablePrefixCaching: acts(boolean(), true, 'Reuse the KV blocks of equal prompt beginnings.'),
  prefixCachingHashAlgo: noEffect(text('NAME'), 'sha256', 'How equal prompt beginnings are found is not for choosing.'),
  kvCacheMemoryBytes: plannedQuietly(
    integer({ min: 1 }),
    null,
    'Size of the KV cache. Until it acts, NUM_GPU_BLOCKS_OVERRIDE sets it.',
    { defaultText: 'what fits', unit: 'bytes' },
  ),
  swapSpace: acts(
    decimal({ min: 0 }),
    4,
    'Host memory for KV blocks of sequences that had to make room, where PREEMPTION_MODE saves them.',
    { unit: 'GiB' },
  ),
  preemptionMode: acts(
    choice(['recompute', 'save'], { swap: 'save' }),
    'recompute',
    'What happens to sequences that must make room: computed again later, or saved in host memory.',
    { unsetWords: ['none'] },
  ),
  preemptionCheckPeriod: noEffect(decimal({ min: 0 }), 1, 'Whether memory suffices is checked at every step.', {
    unit: 'seconds',
  }),
  preemptionCpuCapacity: noEffect(decimal({ min: 0 }), 2, 'SWAP_SPACE says how much host memory may be taken.', {
    unit: 'percent',
  }),
  schedulingPolicy: acts(
    choice(['fcfs', 'priority']),
    'fcfs',
    'Who runs first: who came first, or who has the lower priority number.',
  ),
  schedulerDelayFactor: acts(
    decimal({ min: 0 }),
    0,
    'Beside sequences that run, let prompts wait this many times the last prompt step, so that more of them share one.',
  ),
  maxNumScheduledTokens: plannedQuietly(integer({ min: 1 }), null, 'Most tokens that one step may plan.', {
    defaultText: 'MAX_NUM_BATCHED_TOKENS',
    unit: 'tokens',
    unsetWords: ['0'],
  }),
  maxNumPartialPrefills: plannedQuietly(
    integer({ min: 1 }),
    1,
    'Most prompts that are in the middle of their chunks.',
    {
      unit: 'sequences',
    },
  ),
  maxLongPartialPrefills: plannedQuietly(integer({ min: 1 }), 1, 'How many of these may be long.', {
    unit: 'sequences',
  }),
  longPrefillTokenThreshold: plannedQuietly(integer({ min: 0 }), 0, 'From which length a prompt is long.', {
    unit: 'tokens',
  }),
  streamInterval: plannedQuietly(integer({ min: 1 }), 1, 'Tokens that a stream gathers before it sends them.', {
    unit: 'tokens',
  }),
  cpuOffloadGb: plannedQuietly(decimal({ min: 0 }), 0, 'Weights that stay in host memory.', { unit: 'GiB' }),
  kvOffloadingSize: plannedQuietly(
    decimal({ min: 0, isMinOpen: true }),
    null,
    'Host memory for KV blocks out of use.',
    {
      unit: 'GiB',
    },
  ),
  kvOffloadingBackend: plannedQuietly(text('NAME'), null, 'Who moves KV blocks to host memory.'),
  kvTransferConfig: planned(json(), null, 'Move KV blocks between servers.', { unsetWords: ['{}'] }),
  calculateKvScales: planned(boolean(), false, 'Find the scaling factors of an fp8 KV cache while running.'),
  numLookaheadSlots: noEffect(integer({ min: 0 }), 0, 'Blocks for guessed tokens are taken when they are needed.', {
    unit: 'tokens',
  }),
  numSchedulerSteps: acts(
    integer({ min: 1, max: 8 }),
    1,
    'From 2 on: steps that the GPU may be given before the results of the first are read.',
    { unit: 'steps' },
  ),
  asyncScheduling: acts(boolean(), null, 'Prepare the next step while the GPU runs one.', {
    defaultText: 'on where a GPU computes',
  }),
  disableHybridKvCacheManager: noEffect(boolean(), false, 'All layers share one kind of KV block.'),
  kvSharingFastPrefill: noEffect(boolean(), false, 'No layer skips work in the prompt.'),
  mambaCacheDtype: planned(text('DTYPE'), 'auto', 'How the state of Mamba layers is stored.'),
  mambaSsmCacheDtype: planned(text('DTYPE'), 'auto', 'How the inner state of Mamba layers is stored.'),
  mambaBlockSize: planned(integer({ min: 1 }), null, 'Tokens between kept states of Mamba layers.', { unit: 'tokens' }),
});
