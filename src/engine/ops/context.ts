/**
 * What every op needs to record itself: the device, the step's recorder and which shader variants may be used.
 *
 * Owns the choice of variants, so that tests can switch them off one by one. Next: any op file.
 */
import { type ShaderName, shaderSources } from '../../shaders/index.ts';
import { chooseMatrixConfig, type MatrixConfig } from '../gpu/binding.ts';
import type { GpuDevice } from '../gpu/device.ts';
import type { Kernel } from '../gpu/kernel.ts';
import type { StructLayout } from '../gpu/layout.ts';
import type { ParamValue } from '../gpu/preprocess.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { QuantisedRows } from './tensor.ts';
import type { TunedPlans } from './tuned-plans.ts';

export interface OpContext {
  readonly device: GpuDevice;
  readonly recorder: Recorder;
  /** Use subgroup operations; only where the device has them. */
  readonly subgroups: boolean;
  /** Use f16 types; only where the device has them. */
  readonly f16: boolean;
  /** Use the kernels made for adapters that compute on the CPU. */
  readonly software: boolean;
  /** Shape of the subgroup matrices to use, f16 operands with f32 sums; null = none. */
  readonly matrix: MatrixConfig | null;
  /** Sizes that were measured to suit the adapter; absent = what the planners say. */
  readonly tuned?: TunedPlans;
  /** Room for rows of x as bytes: products with integer weights then take these, which is lossy. Null or absent = they take floats. */
  readonly dp4a?: QuantisedRows | null;
}

/** Context with everything that the device offers and that is not withheld. */
export function makeContext(
  device: GpuDevice,
  recorder: Recorder,
  software: boolean = device.adapter.isSoftware,
): OpContext {
  const matrix = chooseMatrixConfig(device.subgroupMatrixConfigs);
  return { device, recorder, subgroups: device.hasSubgroups, f16: device.hasF16, software, matrix };
}

/** What kernels use of the device, in words; `dp4a`: whether the model multiplies bytes. */
export function describeCapabilities(device: GpuDevice, software: boolean, dp4a: boolean): string {
  const matrix = software ? null : chooseMatrixConfig(device.subgroupMatrixConfigs);
  const used = [
    device.hasSubgroups && 'subgroups',
    device.hasF16 && 'f16',
    matrix && `${matrix.M}x${matrix.N}x${matrix.K} matrices`,
    dp4a && device.hasDp4a && 'dp4a',
  ].filter((name) => typeof name === 'string');
  return used.length > 0 ? used.join(', ') : 'nothing beyond plain WebGPU';
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
