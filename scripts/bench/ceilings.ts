/**
 * What the adapter can do at most, measured: reading memory in order, and multiply-adds in registers.
 *
 * Shaders: probes/read-bandwidth.wgsl, probes/fma-rate.wgsl. Next: `kernels.ts` (what kernels reach of it).
 */
import type { KernelSource } from '../../src/engine/gpu/kernel-cache.ts';
import { struct } from '../../src/engine/gpu/layout.ts';
import { coldBytes, filledBuffer } from './bench-values.ts';
import type { GpuTimer } from './gpu-timer.ts';
import fmaRate from './probes/fma-rate.wgsl' with { type: 'text' };
import readBandwidth from './probes/read-bandwidth.wgsl' with { type: 'text' };

export interface Ceilings {
  /** Units: bytes per second. */
  readonly bandwidth: number;
  /** f32, a multiply-add counted as two. Units: operations per second. */
  readonly arithmetic: number;
}

const WG = 64;
const ROUNDS = { software: 256, gpu: 1024 };
const GROUPS = { software: 64, gpu: 8192 };
/** Of one invocation and round in fma-rate.wgsl: eight chains of four lanes, two operations each. */
const FMA_OPERATIONS = 8 * 4 * 2;

const sources = { 'read-bandwidth.wgsl': readBandwidth, 'fma-rate.wgsl': fmaRate };
const bandwidthParams = struct('BandwidthParams', { strip: 'u32' });
const fmaParams = struct('FmaParams', { rounds: 'u32', factor: 'f32' });

/** Measures both. Throws: EngineError when the device fails. */
export async function measureCeilings(timer: GpuTimer): Promise<Ceilings> {
  const { device } = timer;
  const { recorder } = timer.context;
  const kind = device.adapter.isSoftware ? 'software' : 'gpu';
  const groups = GROUPS[kind];
  const kernelOf = (entry: KernelSource['entry'], layout: KernelSource['layout']) =>
    device.kernel({ entry, sources, params: { WG }, layout });

  const bytes = Math.min(coldBytes(device), device.limits.maxStorageBufferBindingSize);
  /** Of one workgroup. Units: 16 bytes. */
  const strip = Math.floor(bytes / 16 / groups);
  const source = await filledBuffer(device, 'bandwidth source', bytes);
  const sums = device.createBuffer('bandwidth sums', groups * WG * 4);
  const reading = kernelOf('read-bandwidth.wgsl', bandwidthParams);
  const readMs = await timer.bestTime(() => () => recorder.dispatch(reading, { source, sums }, { strip }, groups));

  const out = device.createBuffer('fma out', groups * WG * 4);
  const multiplying = kernelOf('fma-rate.wgsl', fmaParams);
  const rounds = ROUNDS[kind];
  const fmaMs = await timer.bestTime(
    () => () => recorder.dispatch(multiplying, { out }, { rounds, factor: 0.5 }, groups),
  );
  for (const buffer of [source, sums, out]) device.destroyBuffer(buffer);
  return {
    bandwidth: (groups * strip * 16) / (readMs / 1000),
    arithmetic: (groups * WG * rounds * FMA_OPERATIONS) / (fmaMs / 1000),
  };
}
