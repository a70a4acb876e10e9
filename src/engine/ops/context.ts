/**
 * What every op needs to record itself: the device, the step's recorder and which shader variants may be used.
 *
 * Owns the choice of variants, so that tests can switch them off one by one. Next: any op file.
 */
import { type ShaderName, shaderSources } from '../../shaders/index.ts';
import type { GpuDevice } from '../gpu/device.ts';
import type { Kernel } from '../gpu/kernel.ts';
import type { StructLayout } from '../gpu/layout.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import type { Recorder } from '../gpu/recorder.ts';

export interface OpContext {
  readonly device: GpuDevice;
  readonly recorder: Recorder;
  /** Use subgroup operations; only where the device has them. */
  readonly subgroups: boolean;
  /** Use f16 types; only where the device has them. */
  readonly f16: boolean;
  /** Use the kernels made for adapters that compute on the CPU. */
  readonly software: boolean;
}

/** Context with everything that the device offers. */
export function makeContext(
  device: GpuDevice,
  recorder: Recorder,
  software: boolean = device.adapter.isSoftware,
): OpContext {
  return { device, recorder, subgroups: device.hasSubgroups, f16: device.hasF16, software };
}

/** Compiles (or finds) a variant of a shader. */
export function variant(
  context: OpContext,
  entry: ShaderName,
  params: Readonly<Record<string, ParamValue>>,
  layout: StructLayout | null,
): Kernel {
  return context.device.kernel({ entry, sources: shaderSources, params, layout });
}
