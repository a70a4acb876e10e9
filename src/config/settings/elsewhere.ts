/**
 * Settings of what exists elsewhere: several GPUs in one server, CUDA graphs, PyTorch and Ray.
 *
 * Nothing here acts. Rows only; `../settings.ts` puts all sections together.
 */
import { boolean, decimal, integer, list, notation, text } from '../kinds.ts';
import { noEffect, planned, section } from '../setting.ts';

const ONE_GPU = 'A server uses one GPU.';
const NO_GRAPHS = 'There are no CUDA graphs here.';

export const parallel = section('Several GPUs', {
  tensorParallelSize: planned(integer({ min: 1 }), 1, 'GPUs over which each layer is spread.', {
    short: 'tp',
    unit: 'GPUs',
  }),
  pipelineParallelSize: planned(integer({ min: 1 }), 1, 'GPUs over which the layers are spread.', {
    short: 'pp',
    unit: 'GPUs',
  }),
  dataParallelSize: planned(integer({ min: 1 }), 1, 'GPUs that each hold the whole model.', {
    short: 'dp',
    unit: 'GPUs',
  }),
  decodeContextParallelSize: planned(integer({ min: 1 }), 1, 'GPUs over which the KV cache is spread.', {
    short: 'dcp',
    unit: 'GPUs',
  }),
  prefillContextParallelSize: planned(integer({ min: 1 }), 1, 'GPUs over which a prompt is spread.', {
    short: 'pcp',
    unit: 'GPUs',
  }),
  nnodes: planned(integer({ min: 1 }), 1, 'Machines over which one server is spread.', { unit: 'machines' }),
  nodeRank: noEffect(integer({ min: 0 }), 0, ONE_GPU),
  masterAddr: noEffect(text('ADDRESS'), '127.0.0.1', ONE_GPU),
  masterPort: noEffect(integer({ min: 0, max: 65535 }), 29501, ONE_GPU),
  dataParallelRank: noEffect(integer({ min: 0 }), null, ONE_GPU, { short: 'dpn' }),
  dataParallelStartRank: noEffect(integer({ min: 0 }), null, ONE_GPU, { short: 'dpr' }),
  dataParallelSizeLocal: noEffect(integer({ min: 0 }), null, ONE_GPU, { short: 'dpl', unit: 'GPUs' }),
  dataParallelAddress: noEffect(text('ADDRESS'), null, ONE_GPU, { short: 'dpa' }),
  dataParallelRpcPort: noEffect(integer({ min: 0, max: 65535 }), null, ONE_GPU, { short: 'dpp' }),
  dataParallelBackend: noEffect(text('NAME'), 'mp', ONE_GPU, { short: 'dpb' }),
  dataParallelHybridLb: noEffect(boolean(), false, ONE_GPU),
  dataParallelExternalLb: noEffect(boolean(), false, ONE_GPU),
  distributedExecutorBackend: noEffect(text('NAME'), null, `${ONE_GPU} The engine is one process, without Ray.`),
  enableExpertParallel: noEffect(boolean(), false, `${ONE_GPU} All experts are on it.`),
  all2allBackend: noEffect(text('NAME'), null, ONE_GPU),
  enableEplb: noEffect(boolean(), false, `${ONE_GPU} All experts are on it.`),
  eplbConfig: noEffect(notation('JSON'), null, `${ONE_GPU} All experts are on it.`),
  expertPlacementStrategy: noEffect(text('NAME'), 'linear', `${ONE_GPU} All experts are on it.`),
  numRedundantExperts: noEffect(integer({ min: 0 }), 0, `${ONE_GPU} All experts are on it.`, { unit: 'experts' }),
  enableDbo: noEffect(boolean(), false, ONE_GPU),
  dboDecodeTokenThreshold: noEffect(integer({ min: 0 }), 32, ONE_GPU, { unit: 'tokens' }),
  dboPrefillTokenThreshold: noEffect(integer({ min: 0 }), 512, ONE_GPU, { unit: 'tokens' }),
  disableNcclForDpSynchronization: noEffect(boolean(), null, ONE_GPU),
  disableCustomAllReduce: noEffect(boolean(), false, `${ONE_GPU} There is nothing to sum up between GPUs.`),
  maxParallelLoadingWorkers: noEffect(integer({ min: 1 }), null, 'Weights are always read piece by piece.', {
    unit: 'workers',
  }),
});

export const python = section('CUDA, PyTorch and Ray', {
  enforceEager: noEffect(boolean(), false, `${NO_GRAPHS} Commands are always recorded step by step.`),
  maxSeqLenToCapture: noEffect(integer({ min: 1 }), 8192, `${NO_GRAPHS} Every length runs the same way.`, {
    unit: 'tokens',
    oldNames: [{ name: 'max-context-len-to-capture', isInverted: false }],
  }),
  cudagraphCaptureSizes: noEffect(list('N,...'), [], NO_GRAPHS, {
    defaultText: 'none',
    oldNames: [{ name: 'cuda-graph-sizes', isInverted: false }],
  }),
  maxCudagraphCaptureSize: noEffect(integer({ min: 0 }), null, NO_GRAPHS, { unit: 'tokens' }),
  compilationConfig: noEffect(
    notation('JSON'),
    null,
    'Shaders are compiled by the GPU driver; there is no torch.compile.',
    {
      short: 'cc',
    },
  ),
  optimizationLevel: noEffect(
    text('LEVEL'),
    null,
    'Shaders are compiled by the GPU driver; there is no torch.compile.',
    {
      short: 'O',
    },
  ),
  useV2BlockManager: noEffect(boolean(), false, 'There is one manager of KV blocks.'),
  attentionBackend: noEffect(text('NAME'), null, 'Attention is a WGSL kernel; which variant runs depends on the GPU.', {
    oldNames: [{ name: 'vllm-attention-backend', isInverted: false }],
  }),
  attentionConfig: noEffect(
    notation('JSON'),
    null,
    'Attention is a WGSL kernel; which variant runs depends on the GPU.',
  ),
  kernelConfig: noEffect(notation('JSON'), null, 'Which kernel runs depends on the GPU.'),
  moeBackend: noEffect(text('NAME'), 'auto', 'Which kernel runs depends on the GPU.'),
  disableCascadeAttn: noEffect(boolean(), false, 'There is no cascade attention.'),
  overrideAttentionDtype: noEffect(text('DTYPE'), null, 'Attention sums in float32.'),
  device: noEffect(text('NAME'), 'auto', 'The GPU is the one that WebGPU offers.'),
  workerUseRay: noEffect(boolean(), false, 'Ray is not used.'),
  rayWorkersUseNsight: noEffect(boolean(), false, 'Ray is not used.'),
  workerCudaVersion: noEffect(text('VERSION'), null, 'CUDA is not used.'),
  vllmUseDeepGemm: noEffect(boolean(), false, 'Kernels are WGSL; DeepGEMM is CUDA.'),
  pytorchAllocConf: noEffect(text('OPTIONS'), null, 'PyTorch is not used.', {
    env: ['PYTORCH_ALLOC_CONF', 'PYTORCH_CUDA_ALLOC_CONF'],
  }),
  ptLoadMapLocation: noEffect(notation('DEVICE'), 'cpu', 'PyTorch is not used.'),
  cpuDistributedTimeoutSeconds: noEffect(decimal({ min: 0 }), null, 'PyTorch is not used.', { unit: 'seconds' }),
  profilerConfig: noEffect(notation('JSON'), null, 'PyTorch is not used.'),
  enableLayerwiseNvtxTracing: noEffect(boolean(), false, 'CUDA is not used.'),
  cudagraphMetrics: noEffect(boolean(), false, NO_GRAPHS),
  enableFlashinferAutotune: noEffect(boolean(), null, 'CUDA is not used.'),
  gdnPrefillBackend: noEffect(text('NAME'), null, 'Which kernel runs depends on the GPU.'),
  failOnEnvironValidation: noEffect(boolean(), false, 'Wrong values of settings always stop the start.'),
});
