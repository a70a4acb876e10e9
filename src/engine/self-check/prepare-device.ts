/**
 * Brings a device into the state in which all kernels are chosen: without what settings switch off and what it gets wrong.
 *
 * Owns the order and the line that says what is left. Everything that makes kernels afterwards asks the device.
 * Next: `self-check.ts` (the check), `../ops/context.ts` (how ops are told).
 */
import type { EngineConfig } from '../../config/server-config.ts';
import type { GpuDevice } from '../gpu/device.ts';
import type { ModelSpec } from '../models/spec.ts';
import { describeCapabilities } from '../ops/context.ts';
import { checkedModel } from './check-model.ts';
import { selfCheck } from './self-check.ts';

/** Settles what kernels may use, once and before the model is loaded. Throws: EngineError when the adapter computes wrong without all of it. */
export async function prepareDevice(
  device: GpuDevice,
  spec: ModelSpec,
  config: EngineConfig,
  software: boolean,
  onNotice: (message: string) => void,
): Promise<void> {
  if (config.gpuSubgroups === 'off') device.withhold('subgroups');
  if (config.gpuF16 === 'off') device.withhold('f16');
  if (config.gpuMatrices === 'off') device.withhold('matrices');
  await selfCheck(device, { model: checkedModel(spec, config), software, onNotice });
  const takesBytes = config.intActivations && config.quantization !== null;
  onNotice(`GPU: kernels use ${describeCapabilities(device, software, takesBytes)}`);
}
