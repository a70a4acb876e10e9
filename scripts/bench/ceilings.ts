/**
 * What the adapter can do at most, measured: reading memory in order, and multiply-adds in registers by each kind of unit.
 *
 * Shaders: probes/read-bandwidth.wgsl, fma-rate.wgsl, dp4a-rate.wgsl, matrix-rate.wgsl. A rate is that of the best of a few shapes of
 * workgroup. Next: `kernels.ts` and `roofline.ts` (what is reached of it), `device-facts.ts` (prints it).
 */
import type { MatrixConfig } from '../../src/engine/gpu/binding.ts';
import { chooseMatrixConfig } from '../../src/engine/gpu/binding.ts';
import type { KernelSource } from '../../src/engine/gpu/kernel-cache.ts';
import { struct } from '../../src/engine/gpu/layout.ts';
import { coldBytes, filledBuffer } from './bench-values.ts';
import type { GpuTimer } from './gpu-timer.ts';
import dp4aRate from './probes/dp4a-rate.wgsl' with { type: 'text' };
import fmaRate from './probes/fma-rate.wgsl' with { type: 'text' };
import matrixRate from './probes/matrix-rate.wgsl' with { type: 'text' };
import readBandwidth from './probes/read-bandwidth.wgsl' with { type: 'text' };

/** A multiply-add counts as two. Units: bytes per second, operations per second. */
export interface Ceilings {
  readonly bandwidth: number;
  /** f32. */
  readonly arithmetic: number;
  /** f16 operands with f32 sums in subgroup matrices, of the shape that kernels take; null = the device has none. */
  readonly matrix: number | null;
  /** Dot products of signed bytes. */
  readonly dp4a: number;
}

const WG = 64;
const ROUNDS = { software: 256, gpu: 1024 };
const GROUPS = { software: 64, gpu: 8192 };
/** Of one invocation and round in fma-rate.wgsl: eight chains of four lanes, two operations each. */
const FMA_OPERATIONS = 8 * 4 * 2;
/** The same in dp4a-rate.wgsl, where each dot product has four multiply-adds. */
const DP4A_OPERATIONS = 4 * FMA_OPERATIONS;
/** Invocations of a workgroup and loads under way. */
const READ_SHAPES = {
  software: [[64, 1]],
  gpu: [
    [64, 1],
    [256, 1],
    [64, 4],
    [256, 4],
  ],
} as const;
/** Of matrix-rate.wgsl: a workgroup's subgroups, and places to write to. */
const MATRIX = { subgroups: 4, slots: 64 };
/** Sums that a subgroup keeps: rows and columns of matrices. Many wait less for one another, few leave registers free. */
const MATRIX_BLOCKS = {
  software: [[4, 4]],
  gpu: [
    [4, 4],
    [2, 4],
    [2, 2],
  ],
} as const;
/** Short enough for a small GPU's watchdog, with many groups, so that the last ones hardly count. */
const MATRIX_ROUNDS = { software: 16, gpu: 128 };
const MATRIX_GROUPS = { software: 8, gpu: 4096 };
/** What every adapter has. */
const MAX_WORKGROUP_SIZE = 256;

const sources = {
  'read-bandwidth.wgsl': readBandwidth,
  'fma-rate.wgsl': fmaRate,
  'dp4a-rate.wgsl': dp4aRate,
  'matrix-rate.wgsl': matrixRate,
};
const bandwidthParams = struct('BandwidthParams', { strip: 'u32' });
const fmaParams = struct('FmaParams', { rounds: 'u32', factor: 'f32' });
const dp4aParams = struct('Dp4aParams', { rounds: 'u32', factor: 'u32' });
const matrixParams = struct('MatrixRateParams', { rounds: 'u32', factor: 'f32' });

/** Measures all of them. Throws: EngineError when the device fails. */
export async function measureCeilings(timer: GpuTimer): Promise<Ceilings> {
  const config = chooseMatrixConfig(timer.device.subgroupMatrixConfigs);
  return {
    bandwidth: await measureBandwidth(timer),
    arithmetic: await measureFmaRate(timer, false),
    matrix: config === null ? null : await measureMatrixRate(timer, config),
    dp4a: await measureDp4aRate(timer),
  };
}

function kindOf({ device }: GpuTimer): 'software' | 'gpu' {
  return device.adapter.isSoftware ? 'software' : 'gpu';
}

async function measureBandwidth(timer: GpuTimer): Promise<number> {
  const { device } = timer;
  const groups = GROUPS[kindOf(timer)];
  const bytes = Math.min(coldBytes(device), device.limits.maxStorageBufferBindingSize);
  const source = await filledBuffer(device, 'bandwidth source', bytes);
  let best = 0;
  for (const [wg, loads] of READ_SHAPES[kindOf(timer)]) {
    /** Of one workgroup. Units: 16 bytes. */
    const strip = Math.floor(bytes / 16 / groups / (wg * loads)) * wg * loads;
    const sums = device.createBuffer('bandwidth sums', groups * wg * 4);
    const kernel = kernelOf(timer, 'read-bandwidth.wgsl', { WG: wg, LOADS: loads }, bandwidthParams);
    const ms = await timer.bestTime(
      () => () => timer.context.recorder.dispatch(kernel, { source, sums }, { strip }, groups),
    );
    device.destroyBuffer(sums);
    best = Math.max(best, (groups * strip * 16) / (ms / 1000));
  }
  device.destroyBuffer(source);
  return best;
}

/** Fused multiply-adds in f32, or in f16, which the device must have. Units: operations per second. */
export async function measureFmaRate(timer: GpuTimer, isHalf: boolean): Promise<number> {
  const kernel = kernelOf(timer, 'fma-rate.wgsl', { WG, HALF: isHalf }, fmaParams);
  return FMA_OPERATIONS * (await measureRounds(timer, kernel, 0.5));
}

function measureDp4aRate(timer: GpuTimer): Promise<number> {
  const kernel = kernelOf(timer, 'dp4a-rate.wgsl', { WG }, dp4aParams);
  return measureRounds(timer, kernel, 0x01fe0301).then((rate) => rate * DP4A_OPERATIONS);
}

/** Rounds of all invocations together, per second. */
async function measureRounds(timer: GpuTimer, kernel: ReturnType<typeof kernelOf>, factor: number): Promise<number> {
  const { device, context } = timer;
  const [groups, rounds] = [GROUPS[kindOf(timer)], ROUNDS[kindOf(timer)]];
  const out = device.createBuffer('rate out', groups * WG * 4);
  const ms = await timer.bestTime(() => () => context.recorder.dispatch(kernel, { out }, { rounds, factor }, groups));
  device.destroyBuffer(out);
  return (groups * WG * rounds) / (ms / 1000);
}

/**
 * f16 operands in subgroup matrices of one of the device's shapes; null for shapes that the probe or the driver cannot take.
 * Units: operations per second.
 */
export async function measureMatrixRate(timer: GpuTimer, config: MatrixConfig): Promise<number | null> {
  let rate: number | null = null;
  const fault = await timer.device.faultOf(async () => {
    rate = await matrixRateOf(timer, config);
  });
  return fault === null ? rate : null;
}

async function matrixRateOf(timer: GpuTimer, config: MatrixConfig): Promise<number | null> {
  const { device, context } = timer;
  const { M, N, K, resultComponentType } = config;
  const subgroupSize = device.adapter.subgroupMaxSize;
  const { slots } = MATRIX;
  const subgroups = Math.min(MATRIX.subgroups, Math.floor(MAX_WORKGROUP_SIZE / Math.max(1, subgroupSize)));
  if (config.componentType !== 'f16' || K % 8 !== 0 || subgroups < 1) return null;
  const isWide = resultComponentType === 'f32';
  const [groups, rounds] = [MATRIX_GROUPS[kindOf(timer)], MATRIX_ROUNDS[kindOf(timer)]];
  let best = 0;
  for (const [rows, cols] of MATRIX_BLOCKS[kindOf(timer)]) {
    const params = {
      ...{ MATRIX_M: M, MATRIX_N: N, MATRIX_K: K, ROWS: rows, COLS: cols, SLOTS: slots, SUBGROUPS: subgroups },
      ...{ WG: subgroups * subgroupSize, WIDE_SUMS: isWide },
    };
    const kernel = kernelOf(timer, 'matrix-rate.wgsl', params, matrixParams);
    const out = device.createBuffer('matrix rate out', slots * rows * cols * M * N * (isWide ? 4 : 2));
    const ms = await timer.bestTime(
      () => () => context.recorder.dispatch(kernel, { out }, { rounds, factor: 0.01 }, groups),
    );
    device.destroyBuffer(out);
    best = Math.max(best, (groups * subgroups * rounds * rows * cols * 2 * M * N * K) / (ms / 1000));
  }
  return best;
}

function kernelOf(
  { device }: GpuTimer,
  entry: keyof typeof sources,
  params: KernelSource['params'],
  layout: KernelSource['layout'],
) {
  return device.kernel({ entry, sources, params, layout });
}
